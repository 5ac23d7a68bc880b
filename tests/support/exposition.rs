//! Reads the text exposition format 0.0.4, and insists on its rules, and on more than these: each metric has its HELP and then
//! its TYPE, no other comments and no times; all series of a metric have the same labels; nothing is not a number.
//!
//! What is wrong is told and never a panic: fuzz targets read with it, too. It needs nothing but the standard library.

#![allow(dead_code, reason = "not every test uses everything")]

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;

/// What the sample's name has more than the metric's, and the labels. The bound of a bucket is spelt as Rust displays it, so
/// that each bound has one spelling.
pub(crate) type Series = (String, Labels);

/// A scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

/// A metric with all its series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: BTreeMap<Series, f64>,
}

impl Exposition {
    /// The error says what is wrong, and in which line or with which metric.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        for line in lines(text)? {
            reader.line(line).map_err(|error| format!("{error}: {line}"))?;
        }
        reader.end()
    }

    /// Takes a family in that has been read to its end.
    pub(crate) fn insert(&mut self, opened: Opened) -> Result<(), String> {
        let (name, family) = opened.close()?;
        match self.families.insert(name.to_owned(), family) {
            None => Ok(()),
            Some(_) => Err(format!("{name} comes twice")),
        }
    }
}

impl Family {
    /// The names of the labels, which all series have in common; `le` left out.
    pub(crate) fn label_names(&self) -> BTreeSet<&str> {
        let first = self.samples.keys().next();
        let labels = first.into_iter().flat_map(|(_, labels)| labels.keys());
        labels.map(String::as_str).filter(|name| *name != "le").collect()
    }

    /// The labels of the series, one a histogram.
    pub(crate) fn identities(&self) -> BTreeSet<Labels> {
        self.samples.keys().map(|(_, labels)| without_le(labels)).collect()
    }

    /// The buckets of each histogram: bound and cumulative count, by bound.
    pub(crate) fn histograms(&self) -> BTreeMap<Labels, Vec<(f64, f64)>> {
        let mut histograms: BTreeMap<Labels, Vec<_>> = BTreeMap::new();
        for ((_, labels), count) in &self.samples {
            let buckets = histograms.entry(without_le(labels)).or_default();
            let bound = labels.get("le").and_then(|bound| bound.parse().ok());
            buckets.extend(bound.map(|bound: f64| (bound, *count)));
        }
        for buckets in histograms.values_mut() {
            buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        }
        histograms
    }

    fn check(&self) -> Result<(), String> {
        let names = self.label_names();
        for ((suffix, labels), value) in &self.samples {
            let own = labels.keys().map(String::as_str).filter(|name| *name != "le");
            if !own.eq(names.iter().copied()) {
                return Err(format!("not the same labels as another: {labels:?}"));
            }
            let grows = !matches!(self.kind.as_str(), "gauge" | "unknown");
            if value.is_nan() || grows && *value < 0.0 {
                return Err(format!("{suffix}{labels:?} is {value}"));
            }
        }
        if self.kind == "histogram" {
            for (identity, buckets) in self.histograms() {
                self.check_histogram(&identity, &buckets)
                    .map_err(|error| format!("{identity:?}: {error}"))?;
            }
        }
        Ok(())
    }

    fn check_histogram(&self, identity: &Labels, buckets: &[(f64, f64)]) -> Result<(), String> {
        let part = |suffix: &str| self.samples.get(&(suffix.to_owned(), identity.clone()));
        let count = part("_count").ok_or("no count")?;
        part("_sum").ok_or("no sum")?;
        if buckets.last() != Some(&(f64::INFINITY, *count)) {
            return Err(format!("the count is {count}, the last bucket {:?}", buckets.last()));
        }
        if !buckets.is_sorted_by(|left, right| left.1 <= right.1) {
            return Err(format!("the buckets go down: {buckets:?}"));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Reader<'t> {
    exposition: Exposition,
    /// Whose TYPE is to come.
    announced: Option<(&'t str, String)>,
    opened: Option<Opened<'t>>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: &'t str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("a HELP without text")?;
            check_name(name, true)?;
            match self.announced.replace((name, unescape(help, false)?)) {
                None => self.close(),
                Some((before, _)) => Err(format!("{before} has no TYPE")),
            }
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("a TYPE without a type")?;
            let announced = self.announced.take().filter(|(announced, _)| *announced == name);
            let (_, help) = announced.ok_or("a TYPE without its HELP before it")?;
            let suffixes = match kind {
                "counter" | "gauge" => &[""] as &[_],
                "histogram" => HISTOGRAM,
                _ => return Err("a type that is not expected".to_owned()),
            };
            let mut opened = Opened::new(name, kind, suffixes);
            opened.family.help = help;
            self.opened = Some(opened);
            Ok(())
        } else if let (None, Some(opened)) = (&self.announced, &mut self.opened) {
            let sample = Sample::parse(line)?;
            match sample.rest {
                None => opened.add(sample).map(drop),
                Some(_) => Err("something after the value".to_owned()),
            }
        } else {
            Err("a sample without HELP and TYPE".to_owned())
        }
    }

    fn close(&mut self) -> Result<(), String> {
        self.opened
            .take()
            .map_or(Ok(()), |opened| self.exposition.insert(opened))
    }

    fn end(mut self) -> Result<Exposition, String> {
        self.close()?;
        match self.announced {
            None => Ok(self.exposition),
            Some((name, _)) => Err(format!("{name} has no TYPE")),
        }
    }
}

/// The suffixes of a histogram's samples.
pub(crate) const HISTOGRAM: &[&str] = &["_bucket", "_sum", "_count"];

/// A metric that is being read.
pub(crate) struct Opened<'t> {
    pub(crate) name: &'t str,
    pub(crate) family: Family,
    suffixes: &'static [&'static str],
    /// Which labels were there; those of the present sample; the bucket before.
    seen: BTreeSet<Labels>,
    present: Option<Labels>,
    bound: Option<f64>,
}

impl<'t> Opened<'t> {
    /// Its samples may have these suffixes.
    pub(crate) fn new(name: &'t str, kind: &str, suffixes: &'static [&'static str]) -> Self {
        Self {
            name,
            family: Family {
                kind: kind.to_owned(),
                ..Family::default()
            },
            suffixes,
            seen: BTreeSet::new(),
            present: None,
            bound: None,
        }
    }

    /// Takes the sample in, and tells as what.
    pub(crate) fn add(&mut self, sample: Sample) -> Result<Series, String> {
        let suffix = sample.name.strip_prefix(self.name);
        let suffix = suffix.filter(|suffix| self.suffixes.contains(suffix));
        let suffix = suffix.ok_or_else(|| format!("no sample of the {} {}", self.family.kind, self.name))?;
        let mut labels = sample.labels;
        let identity = without_le(&labels);
        if self.present.as_ref() != Some(&identity) {
            if !self.seen.insert(identity.clone()) {
                return Err("these labels come again after others".to_owned());
            }
            (self.present, self.bound) = (Some(identity), None);
        }
        let value = number(sample.value)?;
        let counts = matches!(suffix, "_bucket" | "_count");
        if counts && !sample.value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a count is a whole number".to_owned());
        }
        if suffix == "_bucket" {
            let bound = number(labels.get("le").ok_or("a bucket without a bound")?)?;
            if bound.is_nan() || self.bound.is_some_and(|before| before >= bound) {
                return Err("buckets are not in order".to_owned());
            }
            self.bound = Some(bound);
            labels.insert("le".to_owned(), bound.to_string());
        } else if labels.contains_key("le") {
            return Err("a bound where there is no bucket".to_owned());
        }
        let series = (suffix.to_owned(), labels);
        match self.family.samples.insert(series.clone(), value) {
            None => Ok(series),
            Some(_) => Err("the series comes twice".to_owned()),
        }
    }

    fn close(self) -> Result<(&'t str, Family), String> {
        if self.family.samples.is_empty() {
            return Err(format!("{} has no series", self.name));
        }
        self.family.check().map_err(|error| format!("{}: {error}", self.name))?;
        Ok((self.name, self.family))
    }
}

/// A line with a sample.
pub(crate) struct Sample<'t> {
    pub(crate) name: &'t str,
    pub(crate) labels: Labels,
    pub(crate) value: &'t str,
    /// What follows the value and a space.
    pub(crate) rest: Option<&'t str>,
}

impl<'t> Sample<'t> {
    pub(crate) fn parse(line: &'t str) -> Result<Self, String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        check_name(name, true)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        let rest = rest.strip_prefix(' ').ok_or("no space before the value")?;
        let (value, rest) = match rest.split_once(' ') {
            Some((value, rest)) => (value, Some(rest)),
            None => (rest, None),
        };
        Ok(Self {
            name,
            labels,
            value,
            rest,
        })
    }
}

/// The lines, each of which must end. Only a line feed ends one.
pub(crate) fn lines(text: &str) -> Result<impl Iterator<Item = &str>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    Ok(text.split_terminator('\n'))
}

/// `name="value",name="value"}` and what follows.
pub(crate) fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    if let Some(after) = rest.strip_prefix('}') {
        return Ok((labels, after));
    }
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        check_name(name, false)?;
        let (value, after) = quoted(after)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} comes twice"));
        }
        if let Some(after) = after.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = after
            .strip_prefix(',')
            .ok_or("neither a comma nor a brace after a label")?;
    }
}

/// The text before the quotation mark, and what follows that.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (value, rest) = text.split_at(end.ok_or("a label's value does not end")?);
    Ok((unescape(value, true)?, rest.strip_prefix('"').unwrap_or(rest)))
}

/// Takes the escapes back; quotation marks are escaped in some places only.
pub(crate) fn unescape(text: &str, quotation_marks: bool) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotation_marks => '"',
                _ => return Err("an escape that does not exist".to_owned()),
            },
            '"' if quotation_marks => return Err("a quotation mark that is not escaped".to_owned()),
            plain => plain,
        });
    }
    Ok(plain)
}

/// A number in the spellings that both formats know.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        "NaN" => return Ok(f64::NAN),
        _ => {}
    }
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
    let number = text.parse().ok().filter(|number: &f64| plain && number.is_finite());
    number.ok_or_else(|| format!("{text} is no number"))
}

fn without_le(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.remove("le");
    labels
}

/// Names of metrics may have colons, those of labels not.
pub(crate) fn check_name(name: &str, is_metric: bool) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || is_metric && byte == b':';
    let starts = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if starts && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(format!("{name:?} is no name"))
    }
}
