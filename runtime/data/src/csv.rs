//! Tables of text: a column is a variable over the rows. Files of one pattern are appended, and `{name}` in it is a column.
//!
//! A column in which every cell is a number or empty is one of numbers, where empty means missing; any other is text.
use crate::map::Bytes;
use crate::pattern::{self, Match};
use crate::{DataError, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use stmc_base::schema::{SchemaAxis, SourceSchema, Variable};
use stmc_ir::DType;
use stmc_ir::data::Setting;

/// A table, read whole.
pub(crate) struct Table {
    schema: SourceSchema,
    columns: Vec<Column>,
    files: Vec<Part>,
}

/// The rows that came from a file.
struct Part {
    path: String,
    rows: Range<usize>,
    /// The line of its first row.
    line: usize,
}

enum Column {
    /// NaN where a cell is empty.
    Numbers(Vec<f64>),
    /// Numbers into `names`, which are sorted. `None`: the cell is empty.
    Text { cells: Vec<Option<u32>>, names: Vec<String> },
}

/// How the text is divided.
struct Form {
    header: bool,
    separator: u8,
}

impl Table {
    /// Reads all files of a pattern.
    pub(crate) fn open(
        path: &str,
        base: &Path,
        options: &BTreeMap<String, Setting>,
    ) -> Result<Table, DataError> {
        let form = form(path, options)?;
        let matches = pattern::expand(base, path)?;
        let files: Vec<(Match, Bytes)> = matches
            .into_iter()
            .map(|m| Bytes::open(&base.join(&m.path), &m.path).map(|bytes| (m, bytes)))
            .collect::<Result<_, _>>()?;
        let names = header(&files, &form)?;
        let mut reading: Vec<Building> = names.iter().map(|_| Building::new()).collect();
        let (mut parts, mut rows) = (vec![], 0);
        for (file, bytes) in &files {
            let before = rows;
            each_row(file, bytes, &form, names.len(), |row| {
                row.iter().zip(&mut reading).for_each(|(cell, column)| column.push(cell));
                rows += 1;
            })?;
            let line = 1 + usize::from(form.header);
            parts.push(Part { path: file.path.clone(), rows: before..rows, line });
        }
        let mut columns: Vec<Column> = reading.into_iter().map(Building::finish).collect();
        let mut all: Vec<String> = names;
        for (i, (name, _)) in files.first().map_or(&vec![], |(m, _)| &m.names).iter().enumerate() {
            all.push(name.clone());
            columns.push(of_paths(&files, &parts, i, rows));
        }
        let variable = |(name, column): (&String, &Column)| Variable {
            name: name.clone(),
            dtype: column.dtype().into(),
            axes: vec![SchemaAxis::new("", rows)],
            ..Variable::default()
        };
        let variables = all.iter().zip(&columns).map(variable).collect();
        Ok(Table { schema: SourceSchema { origin: path.into(), variables }, columns, files: parts })
    }

    fn column(&self, variable: &str) -> &Column {
        &self.columns[self.schema.position(variable).expect("the variable is in the schema")]
    }

    /// `ecg.csv, line 12`
    fn place(&self, row: usize) -> String {
        let part = self.files.iter().find(|p| p.rows.contains(&row)).expect("a row came from a file");
        format!("{}, line {}", part.path, row - part.rows.start + part.line)
    }

    fn unfit(&self, row: usize, problem: String) -> DataError {
        DataError::unfit(self.place(row), problem)
    }
}

impl Source for Table {
    fn schema(&self) -> &SourceSchema {
        &self.schema
    }

    fn read(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        dtype: DType,
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let rows = ranges[0].clone();
        let Column::Numbers(numbers) = self.column(variable) else {
            return Err(
                self.unfit(rows.start, format!("the column `{variable}` is text, not {}", dtype.name()))
            );
        };
        for (out, row) in out.iter_mut().zip(rows) {
            let x = numbers[row];
            *out = match dtype {
                DType::F32 => (x as f32).to_bits(),
                DType::I32 if x.fract() == 0.0 && x.abs() < 2_147_483_648.0 => x as i32 as u32,
                DType::Bool if x == 0.0 || x == 1.0 => x as u32,
                _ if x.is_nan() => return Err(self.unfit(row, format!("`{variable}` has no value"))),
                _ => {
                    return Err(self.unfit(row, format!("`{variable}` is {x}, which is no {}", dtype.name())));
                }
            };
        }
        Ok(())
    }

    fn categories(&self, variable: &str) -> Result<Vec<String>, DataError> {
        Ok(match self.column(variable) {
            Column::Text { names, .. } => names.clone(),
            Column::Numbers(numbers) => {
                let mut distinct: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
                distinct.sort_by(f64::total_cmp);
                distinct.dedup();
                distinct.iter().map(f64::to_string).collect()
            }
        })
    }

    fn read_categories(
        &self,
        variable: &str,
        ranges: &[Range<usize>],
        names: &[String],
        out: &mut [u32],
    ) -> Result<(), DataError> {
        let column = self.column(variable);
        for (out, row) in out.iter_mut().zip(ranges[0].clone()) {
            let name = match column {
                Column::Numbers(numbers) if numbers[row].is_nan() => None,
                Column::Numbers(numbers) => Some(numbers[row].to_string()),
                Column::Text { cells, names } => cells[row].map(|cell| names[cell as usize].clone()),
            };
            let Some(name) = name else { return Err(self.unfit(row, format!("`{variable}` has no value"))) };
            let place = names.iter().position(|n| *n == name);
            let unknown = || {
                self.unfit(
                    row,
                    format!("`{variable}` is `{name}`, which is none of its {} names", names.len()),
                )
            };
            *out = place.ok_or_else(unknown)? as u32;
        }
        Ok(())
    }
}

impl Column {
    fn dtype(&self) -> &'static str {
        let whole = |x: &f64| x.fract() == 0.0 && x.abs() < 2_147_483_648.0;
        match self {
            Column::Text { .. } => "text",
            Column::Numbers(numbers) if numbers.iter().all(whole) => "i32",
            Column::Numbers(_) => "f64",
        }
    }
}

/// A column of which some rows were read. It is one of numbers until a cell is something else.
struct Building {
    numbers: Option<Vec<f64>>,
    cells: Vec<Option<u32>>,
    names: BTreeMap<String, u32>,
}

impl Building {
    fn new() -> Building {
        Building { numbers: Some(vec![]), cells: vec![], names: BTreeMap::new() }
    }

    fn push(&mut self, cell: &str) {
        let cell = cell.trim();
        if let Some(numbers) = &mut self.numbers {
            match if cell.is_empty() { Ok(f64::NAN) } else { cell.parse::<f64>() } {
                Ok(x) => return numbers.push(x),
                Err(_) => {
                    // The numbers so far were names: as they are written in the usual way.
                    let before = self.numbers.take().expect("it was there");
                    for x in before {
                        let name = if x.is_nan() { String::new() } else { x.to_string() };
                        self.push_name(&name);
                    }
                }
            }
        }
        self.push_name(cell);
    }

    fn push_name(&mut self, name: &str) {
        let next = self.names.len() as u32;
        let cell = (!name.is_empty()).then(|| match self.names.get(name) {
            Some(known) => *known,
            None => *self.names.entry(name.into()).or_insert(next),
        });
        self.cells.push(cell);
    }

    fn finish(self) -> Column {
        match self.numbers {
            Some(numbers) => Column::Numbers(numbers),
            None => sorted(self.cells, self.names),
        }
    }
}

/// Names were numbered as they came; they are to be numbered in their own order.
fn sorted(cells: Vec<Option<u32>>, names: BTreeMap<String, u32>) -> Column {
    let mut place = vec![0; names.len()];
    names.values().enumerate().for_each(|(i, came)| place[*came as usize] = i as u32);
    let cells = cells.into_iter().map(|cell| cell.map(|c| place[c as usize])).collect();
    Column::Text { cells, names: names.into_keys().collect() }
}

/// What stands for the `i`-th `{name}` in the path of each row's file.
fn of_paths(files: &[(Match, Bytes)], parts: &[Part], i: usize, rows: usize) -> Column {
    let mut names = BTreeMap::new();
    let mut cells = Vec::with_capacity(rows);
    for ((file, _), part) in files.iter().zip(parts) {
        let next = names.len() as u32;
        let name = *names.entry(file.names[i].1.clone()).or_insert(next);
        cells.resize(cells.len() + part.rows.len(), Some(name));
    }
    sorted(cells, names)
}

// ---------------------------------------------------------------- text

fn form(path: &str, options: &BTreeMap<String, Setting>) -> Result<Form, DataError> {
    let mut form = Form { header: true, separator: if path.ends_with(".tsv") { b'\t' } else { b',' } };
    for (name, setting) in options {
        match (name.as_str(), setting) {
            ("header", Setting::Bool(header)) => form.header = *header,
            ("separator", Setting::Text(text)) if text.len() == 1 => form.separator = text.as_bytes()[0],
            _ => {
                let problem = format!(
                    "`{name}` is no setting of tables; they take `header: false` and `separator: \";\"`"
                );
                return Err(DataError::unreadable(path, problem));
            }
        }
    }
    Ok(form)
}

fn rows<'a>(bytes: &'a Bytes, form: &Form) -> ::csv::Reader<&'a [u8]> {
    // Rows of another length are refused with their line.
    ::csv::ReaderBuilder::new()
        .has_headers(form.header)
        .delimiter(form.separator)
        .flexible(true)
        .from_reader(&bytes[..])
}

/// The columns' names: those of the first line, or numbers. All files have the same.
fn header(files: &[(Match, Bytes)], form: &Form) -> Result<Vec<String>, DataError> {
    let mut known: Option<(String, Vec<String>)> = None;
    for (file, bytes) in files {
        let mut rows = rows(bytes, form);
        let first = if form.header { rows.headers().cloned() } else { first(&mut rows) };
        let first = first.map_err(|e| damaged(&file.path, &e))?;
        let number =
            |(i, name): (usize, &str)| if form.header { name.trim().to_string() } else { i.to_string() };
        let names: Vec<String> = first.iter().enumerate().map(number).collect();
        match &known {
            Some((other, theirs)) if *theirs != names => {
                let problem = format!("its columns are not those of `{other}`");
                return Err(DataError::unfit(&file.path, problem));
            }
            Some(_) => {}
            None => known = Some((file.path.clone(), names)),
        }
    }
    let names = known.map(|(_, names)| names).unwrap_or_default();
    if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
        return Err(DataError::unreadable(
            &files[0].0.path,
            format!("two columns have the name `{}`", twice.1),
        ));
    }
    Ok(names)
}

fn first(rows: &mut ::csv::Reader<&[u8]>) -> Result<::csv::StringRecord, ::csv::Error> {
    let mut row = ::csv::StringRecord::new();
    rows.read_record(&mut row)?;
    Ok(row)
}

fn each_row(
    file: &Match,
    bytes: &Bytes,
    form: &Form,
    width: usize,
    mut take: impl FnMut(&::csv::StringRecord),
) -> Result<(), DataError> {
    let mut rows = rows(bytes, form);
    let mut row = ::csv::StringRecord::new();
    while rows.read_record(&mut row).map_err(|e| damaged(&file.path, &e))? {
        if row.len() != width {
            let line = row.position().map_or(0, |p| p.line());
            let problem = format!("line {line} has {} cells, but there are {width} columns", row.len());
            return Err(DataError::unreadable(&file.path, problem));
        }
        take(&row);
    }
    Ok(())
}

fn damaged(path: &str, error: &::csv::Error) -> DataError {
    DataError::unreadable(path, format!("the table is damaged: {error}"))
}
