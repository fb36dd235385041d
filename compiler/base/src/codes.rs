//! The table of diagnostic codes. A code is never reused; the first two digits say the subject: 01 syntax,
//! 02 axes, 03 reductions, 04 stages, 05 layers and weights, 06 scans, 07 missing and periodic, 08 train, 09 data.
use crate::Severity;

/// `--- CODE`, a wrong program, `=>`, the right one.
const EXAMPLES: &str = include_str!("examples.txt");

macro_rules! codes {
    ($($name:ident: $title:literal, $explain:literal;)*) => {
        /// A row of the table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Code { $(#[doc = $title] $name),* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// `E0201`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name)),* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// The longer story.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explain),* }
            }
        }
    };
}

codes! {
    E0101: "this cannot stand here", "The text does not follow the grammar at this place. The message names what was found and what could follow; the help says what to write.";
    E0102: "`//` starts a comment", "`//` is not an integer division: everything after it on the line is a comment. Write `div(a, b)`, which floors.";
    E0103: "a bracket does not match", "Every `(`, `[` and `{` is closed by its partner. The two labels show the bracket and where the compiler noticed.";
    E0104: "a name of another language", "The word or operator belongs to another language (Python's `def`, `**`, `True`, `#` comments …). The help gives the `.stm` way.";
    E0105: "a pipe beside an operator", "`|>` binds loosest, so `x + x |> f` could mean two things. Put the pipe or the sum in parentheses.";
    E0106: "the file is nested too deeply", "Expressions and blocks may be nested 256 deep. Name the inner parts with `let`.";
    E0201: "an axis has two extents", "Operands are aligned by axis name, and an axis has one extent. An extent of 1 does not broadcast: `squeeze` it, and the missing axis is broadcast by name.";
    E0202: "an accidental outer product", "Both operands have `batch`, and each has an axis that the other lacks, so every position of one would be paired with every position of the other. Rename an axis, or `expand` one operand if that is meant.";
    E0203: "there is no such axis", "The axis named is not one of the tensor's. The message lists those it has.";
    E0204: "an axis is there already", "The operation would give a tensor the same axis twice. Rename one of the two first.";
    E0205: "an axis was never introduced", "Every axis name is introduced by `axis`, `axes`, a field or a model's type. `batch`, `time` and `channel` always are.";
    E0206: "an axis has the wrong extent", "The extent found is not the one that the declaration or the operation demands.";
    E0207: "an extent does not divide", "`split`, `unflatten` and grouped layers need an extent that divides evenly.";
    E0208: "an index is out of range", "A static index or range must lie within the axis; negative ones count from its end.";
    E0301: "a reduction without `over:`", "In a layer or a model, `mean(x)` would reduce every axis, `batch` included: samples would mix. Name the axes to remove.";
    E0401: "a name is not defined", "Nothing of this name is in scope.";
    E0402: "a condition known only at run time", "`if` chooses between two programs while compiling, so its condition must be static. On tensors write `where(c, a, b)`.";
    E0403: "a value of the wrong kind", "The place needs another kind of value: a number, an axis, a tensor, a layer, a list …";
    E0404: "an argument does not fit", "The call has an argument too many, one too few, or one of an unknown name.";
    E0405: "an assertion does not hold", "The `assert` is static and false; the message gives both sides.";
    E0406: "a static value is needed", "Extents, settings and `for` lists are fixed while compiling; this value is known only at run time.";
    E0407: "a name is declared twice", "Names are declared once in a scope, and nothing shadows.";
    E0408: "the data types differ", "There is no implicit change of a tensor's data type. Cast with `f32(x)` or `i32(x)`.";
    E0410: "a file cannot be imported", "The file or library module named in `use` was not found, or has no such declaration.";
    E0411: "the definitions go round in a circle", "A value, function or layer is defined through itself.";
    E0501: "an argument lacks an axis", "A layer names the axes it touches; every tensor it is given must have them.";
    E0502: "an axis that passes through is named", "A layer's body may name only the axes of its signature, its own axes and those it adds. All others pass through untouched.";
    E0503: "an axis of its own leaves a layer", "An axis declared inside a layer belongs to it. Rename it before the result leaves.";
    E0504: "the body does not give the declared axes", "A layer's result has exactly the axes declared, plus those that pass through.";
    E0505: "shared weights with two shapes", "A layer applied twice shares its weights, so both uses must have the same extents.";
    E0506: "weights need a name", "A layer with weights must be bound to a name: `head = Conv(1)`. The name is the weights' path in the checkpoint.";
    E0507: "a model's types are closed", "A model is given exactly the axes it declares, plus `batch`, and gives exactly those it declares.";
    E0601: "a carry never gets a next value", "Each carried value is given its next value exactly once: `h' = …`.";
    E0602: "a carry changes its type", "A carry's next value has the type of the value itself, but for axes that pass through, such as `batch`.";
    E0603: "the scan's axis is yielded", "Yielded values are stacked along the scan's axis, so they must not have it.";
    E0604: "there is nothing to scan over", "`scan x in xs along a` needs the axis in every `xs`; `scan along a: n` needs an extent.";
    E0605: "a stateful layer outside a scan", "A layer with a `carry` keeps a state from step to step: it is applied inside a `scan`, once per step.";
    E0701: "missing values where none may be", "The value may have missing cells, and this place needs a value everywhere. `fill(x, 0)` makes an ordinary tensor.";
    E0703: "the ends of a part are no neighbours", "A periodic axis wraps around only where all of it is there: a patch or a range of it has two ends.";
    E0801: "a loss term trains nothing", "There is no path along which a gradient could flow from this term to any weight.";
    E0802: "there is no such setting", "The keys of `train` and `tune` are fixed. The help lists the nearest.";
    E0803: "a metric needs two passes", "In a metric, `batch` is the whole part: a reduction over it cannot feed another one. Use a formula of sums.";
    E0804: "a setting has the wrong value", "The setting takes another kind of value.";
    E0805: "the model's inputs are not in the sample", "Each input of a model is a part of the sample with the same name.";
    E0806: "a value is not a number while training", "A term of the loss, or a weight, became NaN or infinite. Training stops at once, and the last checkpoint is kept.";
    E0807: "a group of weights does not fit", "`optimizer = { \"*.bias\": …, \"*\": … }` gives each weight to the first pattern that its path matches; `*` stands for any text. Every weight needs a group, and every group a weight.";
    E0808: "which way is better?", "`best` and `stalled` compare values. The loss is better small, and the library says of each of its metrics which way it is better. Of other metrics only you know: `best(valid.skill, prefer: high)`. A file can say it of its own functions: `let higher_is_better = [skill]`, `let lower_is_better = [gap]`.";
    E0809: "phases do not fit together", "The weights go on from one phase to the next, so every phase has the same ones with the same shapes; the state of the optimizer goes on too, unless `reset: [optimizer]` says otherwise.";
    E0901: "a field is not in the data", "The source has no variable of this name. The help lists those it has.";
    E0902: "the data do not fit the declaration", "The field's axes, extents or type are not those of the variable in the source.";
    E0903: "a data source cannot be read", "The file is missing, damaged or of a format that is not supported.";
    E0904: "a part of the split has no sample", "No sample lies wholly in this part.";
    E0905: "the data block cannot be understood", "An entry of `data` is not of the expected form.";
    W0401: "a value is never used", "The value is named in a declaration and does not occur again there. Use it, or take it out.";
    W0501: "a parameter never reaches the loss", "The parameter has no path to any term of the loss: it is never trained, but it counts.";
    W0903: "parts share what they read", "Samples of two parts differ only along an axis that a field lacks, such as the members of an ensemble: what is read of that field is the same in both, and a model can learn it by heart. Tell the parts by another axis. A field without `time` may be shared.";
    W0702: "the two sums do not cover the same cells", "The numerator skips what is missing, the denominator does not. `mean(x, weight: w)` takes both over the same cells.";
    W0802: "a schedule is longer than the training", "The duration given to a schedule exceeds the training: what comes later does not happen. `100%` is the whole training.";
    W0801: "a partial batch is dropped", "Training uses whole batches; evaluation uses every sample.";
    W0904: "squares without room", "`squares(…, count: 5, apart: 15 km)` draws points for centres. Where the points do not have room for so many, the distance shrinks by a fifth until they do: then the parts lie closer together than the program says.";
    W0902: "samples straddle the parts", "A sample belongs to a part only if its whole footprint does. Those that straddle are dropped.";
}

impl Code {
    /// Codes that begin with W are warnings.
    pub fn severity(self) -> Severity {
        if self.name().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// Whether it is about what the data alone tell, such as extents: it says nothing where they are not there.
    pub fn is_of_data(self) -> bool {
        use Code::*;
        let of_data = [
            E0201, E0206, E0207, E0208, E0405, E0505, E0901, E0902, E0904, E0905, W0801, W0802, W0902, W0903,
        ];
        of_data.contains(&self)
    }

    /// A program that leads to it, and the same put right. What an example needs and does not show (data, a model) is
    /// what every program has.
    pub fn example(self) -> (&'static str, &'static str) {
        let found = EXAMPLES.split("--- ").find_map(|e| e.strip_prefix(self.name())?.split_once("\n=>\n"));
        found.map_or(("", ""), |(wrong, right)| (wrong.trim(), right.trim()))
    }

    /// The code of that name, in any case. `None`: there is no such code.
    pub fn find(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.name().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
