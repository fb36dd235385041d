//! What a data block asks of the readers: checked with a schema in place of files.
use std::path::Path;
use stmc::{Error, Options};
use stmc_ir::data::{DataPlan, FieldOrigin, QuantityKind, Setting, SourceSpec};

const SCHEMA: &str = r#"{ "sources": [
  { "origin": "grid.nc", "variables": [
    { "name": "raw", "dtype": "i16", "axes": [
      { "name": "time", "extent": 48, "coordinates": { "dates": { "first": "2000-01", "months": 1 } } },
      { "name": "latitude", "extent": 9, "coordinates": { "even": { "first": 40, "step": -10 } } } ] },
    { "name": "kind", "dtype": "u8", "axes": [{ "name": "latitude", "extent": 9 }], "categories": ["1", "4", "7"] } ] },
  { "origin": "table.csv", "variables": [
    { "name": "where", "dtype": "f64", "axes": [{ "extent": 20 }] },
    { "name": "a", "dtype": "f64", "axes": [{ "extent": 20 }] },
    { "name": "b", "dtype": "f64", "axes": [{ "extent": 20 }] } ] }
] }"#;

const FIELDS: &str = r#"
    from "grid.nc"
    field heat = 273 + 0.5 * "raw"(latitude -> lat): f32?[time, lat] unit "K" missing -999
    field kind = "kind"(latitude -> lat): category[lat]
    from csv("table.csv", separator: ";")
    field place = "where": f32[row]
    field pair = columns(1 .. 3): f32[row, channel]
"#;

/// The plan of a block with these lines after its fields.
fn plan(name: &str, lines: &str) -> Result<DataPlan, Error> {
    plan_of(name, SCHEMA, &format!("use std.data.{{anomaly, zscore}}\ndata d {{{FIELDS}{lines}\n}}\n"))
}

fn plan_of(name: &str, schema: &str, text: &str) -> Result<DataPlan, Error> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plan_{name}.stm"));
    std::fs::write(&file, text).expect("the target folder is writable");
    let schema = serde_json::from_str(schema).expect("it is a schema");
    let options = Options { schema: Some(schema), ..Options::default() };
    stmc::check_file(&file, &options).map(|checked| checked.module.data.expect("it has data"))
}

fn good(name: &str, lines: &str) -> DataPlan {
    plan(name, lines).unwrap_or_else(|e| panic!("{e}"))
}

/// Binder, offset, length and whether the axis stays.
type Range = (Option<usize>, isize, usize, bool);

/// Each range of the slabs of a field.
fn ranges(plan: &DataPlan, field: &str) -> Vec<Vec<Range>> {
    let slabs = plan.slabs.iter().filter(|s| plan.fields[s.field].name == field);
    slabs.map(|s| s.range.iter().map(|r| (r.binder, r.offset, r.len, r.keep)).collect()).collect()
}

#[test]
fn fields_say_how_they_are_read() {
    let plan = good("fields", "sample at r in row { p: pair[row: r] }\nsplit { train: rest }");
    let field = |name: &str| plan.fields.iter().find(|f| f.name == name).expect("it is there");
    let heat = field("heat");
    assert_eq!(heat.axes, [("time".to_string(), 48), ("lat".to_string(), 9)]);
    assert_eq!((heat.reading.scale, heat.reading.offset, heat.reading.missing), (0.5, 273.0, Some(-999.0)));
    assert!(heat.reading.optional && heat.unit.as_deref() == Some("K"));
    assert_eq!(field("kind").reading.categories.as_ref().map(Vec::len), Some(3));
    let pair = FieldOrigin::Columns { source: 1, variables: vec!["a".into(), "b".into()] };
    assert_eq!((&field("pair").origin, &field("pair").axes[1]), (&pair, &("channel".to_string(), 2)));
    let SourceSpec::Reader { format, options, .. } = &plan.sources[1] else {
        panic!("{:?}", plan.sources[1])
    };
    assert_eq!((format.as_str(), options.get("separator")), ("csv", Some(&Setting::Text(";".into()))));
}

#[test]
fn an_index_of_an_index_reads_what_both_leave() {
    let plan = good(
        "indices",
        "sample at r in row { a: pair[row: r][channel: -1], b: pair[channel: 1 ..][row: r], c: place[row: r - 3 .. r][row: 1 .. 3] }
         split { train: rest }",
    );
    assert_eq!(
        ranges(&plan, "pair"),
        [[(Some(0), 0, 1, false), (None, 1, 1, false)], [(Some(0), 0, 1, false), (None, 1, 1, true)]]
    );
    assert_eq!(ranges(&plan, "place"), [[(Some(0), -2, 2, true)]]);
}

#[test]
fn predicates_know_dates_names_and_calendars() {
    let plan = good(
        "predicates",
        r#"sample at t in time, i in lat if month(time) != 7 and t >= 2 { season: month(time)[time: t], k: kind[lat: i] }
        split {
            test: time > 2002-06 and kind in ["4", 7]
            valid: not (time < 2002-01) and coord(lat) < 0
            train: rest, gap: 2 months
        }"#,
    );
    let named = |name: &str| &plan.quantities.iter().find(|q| q.name == name).expect("it is there").kind;
    let along = |kind: &QuantityKind| match kind {
        QuantityKind::Along { values, .. } => values.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(along(named("month(time)"))[..3], [1.0, 2.0, 3.0]);
    assert_eq!(along(named("lat"))[8], -40.0);
    assert_eq!(along(named("time"))[0], 10_957.0);
    assert_eq!(*named("kind"), QuantityKind::Field(1));
    let holds = |part: usize, time: f64, kind: f64, lat: f64| {
        let lookup = |name: &str| match name {
            "time" => Some(time),
            "kind" => Some(kind),
            "lat" => Some(lat),
            _ => None,
        };
        plan.split[part].predicate.eval(&lookup) != 0.0
    };
    let june = stmc_base::date::days(2002, 6, 30) as f64;
    assert!(!holds(0, june, 1.0, 0.0), "a month is all of it");
    assert!(holds(0, june + 1.0, 1.0, 0.0) && holds(0, june + 1.0, 2.0, 0.0));
    assert!(!holds(0, june + 1.0, 0.0, 0.0), "`1` is not in the list");
    assert!(holds(1, june, 0.0, -10.0) && !holds(1, june, 0.0, 10.0));
    assert_eq!((plan.near[0], plan.near[1], plan.near[10]), (0, 0, 8));
    assert!(plan.condition.is_some());
}

/// A fit of a fit comes first, and reads only what the train part has.
#[test]
fn fits_are_numbered_as_they_need_each_other() {
    let plan = good(
        "fits",
        "sample at r in row { p: zscore(place)[row: r] }
        split { train: shuffled(row) < 50%, test: rest }",
    );
    assert_eq!(plan.fits.len(), 3);
    let reads = |fit: usize| -> Vec<&str> {
        plan.fits[fit].slabs.iter().map(|s| plan.fields[s.field].name.as_str()).collect()
    };
    assert!(plan.fits.iter().all(|f| f.axes == ["row"]));
    assert_eq!(reads(2), ["place", "fit1"], "the deviation is about the fitted mean");
}

#[test]
fn a_schema_without_names_is_told() {
    let schema = SCHEMA.replace(", \"categories\": [\"1\", \"4\", \"7\"]", "");
    assert_ne!(schema, SCHEMA);
    let text =
        format!("data d {{{FIELDS} sample at r in row {{ p: place[row: r] }}\nsplit {{ train: rest }}\n}}\n");
    let Err(error) = plan_of("names", &schema, &text) else { panic!("the names are not known") };
    assert!(error.to_string().contains("error[E0902]: the names of `kind` are not known"), "{error}");
}

/// Tables without a line of names, one after the other: columns go by number, and a part of the path is one more.
#[test]
fn columns_go_by_number_and_by_path() {
    let column = |name: &str, more: &str| {
        format!(r#"{{ "name": "{name}", "dtype": "f64", "axes": [{{ "extent": 20 }}]{more} }}"#)
    };
    let columns = [
        column("0", ""),
        column("1", ""),
        column("2", r#", "categories": ["0.0", "1.0", "2.0"]"#),
        column("part", r#", "categories": ["train", "test"]"#),
    ];
    let schema = format!(
        r#"{{ "sources": [{{ "origin": "beats_{{part}}.csv", "variables": [{}] }}] }}"#,
        columns.join(", ")
    );
    let text = r#"data beats {
    from csv("beats_{part}.csv", header: false)
    field part: category[row]
    field signal = columns(0 .. 2): f32[row, time]
    field class = column(2): category[row]
    sample at r in row { signal: signal[row: r], class: class[row: r] }
    split { test: part == "test", valid: shuffled(row, within: class) < 10%, train: rest }
    balance smote(signal, k: 5) by class
}
"#;
    let plan = plan_of("columns", &schema, text).unwrap_or_else(|e| panic!("{e}"));
    let origin = |name: &str| &plan.fields.iter().find(|f| f.name == name).expect("it is there").origin;
    let both = FieldOrigin::Columns { source: 0, variables: vec!["0".into(), "1".into()] };
    assert_eq!(*origin("signal"), both);
    assert_ne!(origin("part"), origin("class"));
    assert!(plan.quantities.iter().any(|q| matches!(q.kind, QuantityKind::Shuffled { within: Some(_), .. })));
}
