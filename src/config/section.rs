//! A cursor over one section of the file: takes its keys with their types, and reports what does not belong there.

use super::environment::{Environment, Variable};
use super::error::{Place, Problems, quoted};
use super::keys::{instead_of, within};
use super::value::{Raw, Wrong, kind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One section.
pub(super) struct Section<'a, 'p> {
    /// As the user sees it: `streams[1].reconnection`; empty for the whole file.
    path: String,
    /// As the list of keys has it: `reconnection`.
    schema: &'static str,
    table: Option<&'a DeTable<'a>>,
    at: usize,
    /// `None` where the environment says nothing.
    environment: Option<&'a Environment>,
    problems: &'p mut Problems,
    faulty: Vec<&'static str>,
}

impl<'a, 'p> Section<'a, 'p> {
    /// The whole file.
    pub(super) fn root(table: &'a DeTable<'a>, environment: &'a Environment, problems: &'p mut Problems) -> Self {
        Self::new(String::new(), "", Some(table), 0, Some(environment), problems)
    }

    fn new(
        path: String,
        schema: &'static str,
        table: Option<&'a DeTable<'a>>,
        at: usize,
        environment: Option<&'a Environment>,
        problems: &'p mut Problems,
    ) -> Self {
        let valid = within(schema);
        for key in table.into_iter().flat_map(|table| table.keys()) {
            if !valid.contains(&key.get_ref().as_ref()) {
                problems.add(
                    Place::File(key.span().start),
                    join(&path, &shown_key(key.get_ref())),
                    format!("unknown key; {}", instead_of(key.get_ref(), &valid)),
                );
            }
        }
        Self {
            path,
            schema,
            table,
            at,
            environment,
            problems,
            faulty: Vec::new(),
        }
    }

    /// The section of that name within this one; empty where it is left out.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'a, '_> {
        // By its name alone: a stream's own [reconnection] has the keys of the general one.
        self.section_of(name, name)
    }

    /// The same, with the keys of `schema`.
    pub(super) fn section_of(&mut self, name: &'static str, schema: &'static str) -> Section<'a, '_> {
        let (table, at) = match self.entry(name) {
            Some((DeValue::Table(table), at)) => (Some(table), at),
            Some((other, at)) => {
                let problem = format!("must be a table, not {}", kind(other));
                self.add(Place::File(at), name, problem);
                (None, at)
            }
            None => (None, self.at),
        };
        Section::new(
            join(&self.path, name),
            schema,
            table,
            at,
            self.environment,
            self.problems,
        )
    }

    /// The elements of an array of tables, and where it begins; `None` where it is left out or is none.
    pub(super) fn tables(&mut self, name: &'static str) -> Option<(&'a [Spanned<DeValue<'a>>], usize)> {
        let (value, at) = self.entry(name)?;
        match value {
            DeValue::Array(elements) => Some((elements, at)),
            other => {
                let problem = format!("must be an array of tables, [[{name}]], not {}", kind(other));
                self.add(Place::File(at), name, problem);
                None
            }
        }
    }

    /// One element of an array of tables as a section, with the keys of `schema`; `None` where it is no table.
    pub(super) fn element(
        &mut self,
        name: &str,
        schema: &'static str,
        index: usize,
        element: &'a Spanned<DeValue<'a>>,
    ) -> Option<Section<'a, '_>> {
        let path = join(&self.path, &format!("{name}[{index}]"));
        self.table_at(path, schema, element)
    }

    fn table_at(
        &mut self,
        path: String,
        schema: &'static str,
        element: &'a Spanned<DeValue<'a>>,
    ) -> Option<Section<'a, '_>> {
        let at = element.span().start;
        match element.get_ref() {
            // No variable reaches into an element.
            DeValue::Table(table) => Some(Section::new(path, schema, Some(table), at, None, self.problems)),
            other => {
                let problem = format!("must be a table, not {}", kind(other));
                self.problems.add(Place::File(at), path, problem);
                None
            }
        }
    }

    /// The tables of a table whose keys are names of the user's own; `None` where the key holds no table.
    pub(super) fn named(&mut self, key: &'static str) -> Option<&'a DeTable<'a>> {
        let (value, at) = self.entry(key)?;
        if let DeValue::Table(table) = value {
            return Some(table);
        }
        let problem = format!(
            "must be a table of tables, [{}.NAME], not {}",
            join(&self.path, key),
            kind(value)
        );
        self.add(Place::File(at), key, problem);
        None
    }

    /// One of them as a section, with the keys of `schema`; `None` where it is no table.
    pub(super) fn named_element(
        &mut self,
        key: &str,
        schema: &'static str,
        name: &str,
        element: &'a Spanned<DeValue<'a>>,
    ) -> Option<Section<'a, '_>> {
        let path = join(&join(&self.path, key), &shown_key(name));
        self.table_at(path, schema, element)
    }

    /// The value of a key; `None` where it is left out, or wrong and reported.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl FnOnce(Raw<'a>) -> Result<T, Wrong>) -> Option<T> {
        debug_assert!(within(self.schema).contains(&key), "{key} is not in the list of keys");
        let raw = match (self.variable(key), self.entry(key)) {
            (Some(found), _) => Raw::Variable(&found.value),
            (None, Some((value, _))) => Raw::Toml(value),
            (None, None) => return None,
        };
        match read(raw) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.faulty.push(key);
                self.wrong(key, wrong);
                None
            }
        }
    }

    /// The value of the first of these standard variables that is set; `None` where none is, or it is wrong and reported.
    pub(super) fn standard<T>(&mut self, names: &[&str], read: impl FnOnce(Raw<'a>) -> Result<T, Wrong>) -> Option<T> {
        let environment = self.environment?;
        let found = names.iter().find_map(|name| environment.standard(name))?;
        read(Raw::Variable(found.value.trim()))
            .map_err(|wrong| self.problems.add(Place::Variable(found.name.clone()), "", wrong))
            .ok()
    }

    /// The value of a key that may not be left out; `valid` says what it may be.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        valid: &str,
        read: impl FnOnce(Raw<'a>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if self.place_of(key).is_none() {
            self.wrong(key, format!("is missing; valid: {valid}"));
            return None;
        }
        self.take(key, read)
    }

    /// One string, or those of an array, with their keys and offsets; what is wrong is left out and reported.
    pub(super) fn one_or_more(&mut self, key: &'static str) -> Vec<(String, &'a str, usize)> {
        if let Some((DeValue::String(text), at)) = self.entry(key) {
            return vec![(key.to_owned(), text, at)];
        }
        let texts = self.texts(key).into_iter();
        texts
            .map(|(index, text, at)| (format!("{key}[{index}]"), text, at))
            .collect()
    }

    /// The strings of an array, with their indices and offsets; what is wrong is left out and reported.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(usize, &'a str, usize)> {
        let elements = match self.entry(key) {
            Some((DeValue::Array(elements), _)) => elements,
            Some((other, _)) => {
                self.wrong(key, format!("must be an array of strings, not {}", kind(other)));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut texts = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let at = element.span().start;
            match Raw::Toml(element.get_ref()).text() {
                Ok(text) => texts.push((index, text, at)),
                Err(wrong) => self.add(Place::File(at), &format!("{key}[{index}]"), wrong),
            }
        }
        texts
    }

    /// What a table holds whose keys are names of the user's own, with the offsets of the values.
    pub(super) fn entries(&mut self, key: &'static str) -> Vec<(&'a str, Raw<'a>, usize)> {
        match self.entry(key) {
            Some((DeValue::Table(table), _)) => table
                .iter()
                .map(|(name, value)| (name.get_ref().as_ref(), Raw::Toml(value.get_ref()), value.span().start))
                .collect(),
            Some((other, _)) => {
                self.wrong(key, format!("must be a table, not {}", kind(other)));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Reports what stands below a key under a name of the user's own.
    pub(super) fn add_below(&mut self, at: usize, key: &str, name: &str, problem: String) {
        self.add(Place::File(at), &join(key, &shown_key(name)), problem);
    }

    /// Reports a key: at its value, or at the section where the key is left out.
    pub(super) fn wrong(&mut self, key: &str, problem: String) {
        self.wrong_at(key, key, problem);
    }

    /// Reports a key at the value of another.
    pub(super) fn wrong_at(&mut self, at: &str, key: &str, problem: String) {
        let place = self.place_of(at).unwrap_or(Place::File(self.at));
        self.add(place, key, problem);
    }

    /// Reports something below this section, at a place.
    pub(super) fn add(&mut self, place: Place, key: &str, problem: String) {
        self.problems.add(place, join(&self.path, key), problem);
    }

    /// Reports a second one of what may be there only once; both offsets are of the file.
    pub(super) fn repeated(&mut self, at: usize, key: &str, problem: String, first: usize) {
        self.problems
            .add_repeated(Place::File(at), join(&self.path, key), problem, first);
    }

    /// Where a key's value is written, if it is.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        match self.variable(key) {
            Some(found) => Some(Place::Variable(found.name.clone())),
            None => self.entry(key).map(|(_, at)| Place::File(at)),
        }
    }

    /// The offset of a key's value in the file, or of the section where the key is left out.
    pub(super) fn offset_of(&self, key: &str) -> usize {
        self.entry(key).map_or(self.at, |(_, at)| at)
    }

    /// How much has been reported so far, here and elsewhere.
    pub(super) fn reported(&self) -> usize {
        self.problems.count()
    }

    /// Whether the key is left out, or holds a table without keys.
    pub(super) fn is_empty(&self, key: &str) -> bool {
        match self.entry(key) {
            Some((DeValue::Table(table), _)) => table.is_empty(),
            Some(_) => false,
            None => true,
        }
    }

    /// Whether the key was taken, and reported.
    pub(super) fn is_faulty(&self, key: &str) -> bool {
        self.faulty.contains(&key)
    }

    fn entry(&self, key: &str) -> Option<(&'a DeValue<'a>, usize)> {
        let value = self.table?.get(key)?;
        Some((value.get_ref(), value.span().start))
    }

    fn variable(&self, key: &str) -> Option<&'a Variable> {
        self.environment?.overriding(&join(self.schema, key))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() || key.is_empty() {
        format!("{path}{key}")
    } else {
        format!("{path}.{key}")
    }
}

/// A key as a path shows it: quoted unless bare.
fn shown_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.len() <= 80 && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        quoted(key)
    }
}
