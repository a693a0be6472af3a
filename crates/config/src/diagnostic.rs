//! What is wrong with a config, told so that a person can mend it: where, with the line itself, and
//! what to do. Rendering needs nothing but the diagnostic, so it can be stored and shown anywhere.

use std::fmt;
use std::rc::Rc;

use unicode_width::UnicodeWidthChar;

use crate::keys::Meant;
use crate::read::{FileId, Key, Node, Region, Source};
use crate::suggest::nearest;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The config can't run.
    Error,
    /// It can, but perhaps not as its author thinks.
    Warning,
}

impl Severity {
    /// The word that a rendered diagnostic begins with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A part of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The column of the first character, from 1, counted in characters.
    pub column: usize,
    /// How many characters; at least 1.
    pub length: usize,
}

/// One thing that is wrong or doubtful. Its `Display` is what a terminal shows; see the crate's tests
/// for how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a lower-case fragment, names in backticks.
    pub message: String,
    /// The file, as [`crate::SourceFile::path`] has it; empty if no file is to blame.
    pub path: String,
    /// Where in the file; none if it is the whole file's fault.
    pub span: Option<Span>,
    /// The line that the span is in, whole (but at most [`MAX_EXCERPT_CHARS`] of it, and then
    /// [`Diagnostic::excerpt_column`] tells where it begins).
    pub excerpt: Option<String>,
    /// The column of the excerpt's first character; 1 unless the line was too long to keep.
    pub excerpt_column: usize,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// Other places that have to do with it.
    pub related: Vec<Related>,
    /// Of what kind it is, as far as programs tell kinds apart.
    pub kind: ErrorKind,
}

/// What programs want to tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorKind {
    /// The config itself is at fault.
    #[default]
    Config,
    /// An orb that it imports is not at hand.
    OrbNotAtHand,
}

impl ErrorKind {
    /// The word as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::OrbNotAtHand => "orb_not_at_hand",
        }
    }
}

/// Another place that has to do with a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// What is there.
    pub message: String,
    /// The file.
    pub path: String,
    /// Where in it.
    pub span: Span,
    /// The line that the span is in, as [`Diagnostic::excerpt`].
    pub excerpt: String,
    /// As [`Diagnostic::excerpt_column`].
    pub excerpt_column: usize,
}

/// How many characters of a line an excerpt holds at most.
pub const MAX_EXCERPT_CHARS: usize = 160;

/// How many diagnostics one file gets; the others are only counted.
const MAX_PER_FILE: usize = 100;

/// For how many names of one file it is looked up what was likely meant. A fault behind an anchor is met
/// once for each of its aliases, and comparing a name with all others each time takes too long.
const MAX_LOOKUPS: usize = MAX_PER_FILE;

impl Diagnostic {
    /// An error that concerns a whole file, or none (`path` empty).
    pub(crate) fn error(path: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            path: path.to_owned(),
            span: None,
            excerpt: None,
            excerpt_column: 1,
            help: None,
            related: Vec::new(),
            kind: ErrorKind::Config,
        }
    }

    /// Says of what kind it is.
    pub(crate) fn of_kind(&mut self, kind: ErrorKind) -> &mut Self {
        self.kind = kind;
        self
    }

    /// Adds what was expected, or what to do.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the nearest of the known names, if there is one: `did you mean …?`
    pub(crate) fn suggest(&mut self, nearest: Option<&str>) -> &mut Self {
        if let Some(nearest) = nearest {
            self.help(format!("did you mean `{nearest}`?"));
        }
        self
    }

    /// Adds what was meant by a key.
    pub(crate) fn meant(&mut self, meant: Option<Meant>) -> &mut Self {
        match meant {
            Some(Meant::Key(name)) => self.suggest(Some(name)),
            Some(Meant::Help(help)) => self.help(help),
            None => self,
        }
    }

    /// Adds another place.
    pub(crate) fn related(&mut self, related: Related) -> &mut Self {
        self.related.push(related);
        self
    }
}

impl fmt::Display for Diagnostic {
    /// The message, the place, the line and a caret with the help; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, printable(&self.message))?;
        let help = self.help.as_deref().map(printable);
        let gutter = self
            .related
            .iter()
            .map(|related| related.span.line)
            .chain(self.span.map(|span| span.line))
            .max()
            .map_or(0, |line| line.to_string().len());
        match (self.span, &self.excerpt) {
            (Some(span), Some(excerpt)) => {
                write!(
                    f,
                    "\n  {}:{}:{}",
                    printable(&self.path),
                    span.line,
                    span.column
                )?;
                let label = help.as_deref().unwrap_or_default();
                write_excerpt(f, gutter, span, excerpt, self.excerpt_column, label)?;
            }
            (_, _) => {
                if !self.path.is_empty() {
                    write!(f, "\n  {}", printable(&self.path))?;
                }
                if let Some(help) = help {
                    write!(f, "\n  {help}")?;
                }
            }
        }
        for related in &self.related {
            let Related {
                path,
                span,
                excerpt,
                ..
            } = related;
            write!(f, "\n  {}:{}:{}", printable(path), span.line, span.column)?;
            write_excerpt(
                f,
                gutter,
                *span,
                excerpt,
                related.excerpt_column,
                &printable(&related.message),
            )?;
        }
        Ok(())
    }
}

/// The line with its number, then the carets with their label; both lines begin with a newline.
fn write_excerpt(
    f: &mut fmt::Formatter<'_>,
    gutter: usize,
    span: Span,
    excerpt: &str,
    excerpt_column: usize,
    label: &str,
) -> fmt::Result {
    const TAB: &str = "    ";
    let mut line = String::new();
    let mut padding = 0;
    let mut carets = 0;
    for (column, c) in (excerpt_column..).zip(excerpt.chars()) {
        let width = if c == '\t' {
            line.push_str(TAB);
            TAB.len()
        } else {
            let c = printable_char(c);
            line.push(c);
            c.width().unwrap_or(0)
        };
        if column < span.column {
            padding += width;
        } else if column < span.column + span.length {
            carets += width;
        }
    }
    // A place behind the end of its line (something is missing there) gets a caret of its own.
    let behind = excerpt_column + excerpt.chars().count();
    padding += span.column.saturating_sub(behind.max(1));
    let carets = "^".repeat(carets.max(1));
    let shown = format!("{:>gutter$} │ {line}", span.line);
    write!(f, "\n{}", shown.trim_end())?;
    let pointer = format!("{:gutter$} │ {:padding$}{carets} {label}", "", "");
    write!(f, "\n{}", pointer.trim_end())
}

/// Whether a value does not stand behind its key: an alias or a parameter brought it there.
fn is_elsewhere(value: Region, key: Region) -> bool {
    let is_before = (value.line, value.column) < (key.line, key.column);
    value.file != key.file || is_before || value.line > key.line + 1
}

/// A config comes from anyone: nothing in it may steer the terminal that shows it.
fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

fn printable_char(c: char) -> char {
    let steers = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if steers { '\u{fffd}' } else { c }
}

/// Collects the diagnostics of one config file and of the orbs that it imports.
pub(crate) struct Problems {
    /// By their [`FileId`]; the config itself is the first.
    sources: Vec<Rc<Source>>,
    /// Each with the file that it is in.
    found: Vec<Diagnostic>,
    /// What [`Problems::error`] hands out once there are enough.
    surplus: Diagnostic,
    /// How many more there were, and whether one of them was an error.
    surplus_count: usize,
    surplus_error: bool,
    /// How often a name was looked up.
    lookups: usize,
    /// What is used where.
    uses: Vec<Use>,
    current_use: Option<UseId>,
    /// Whether what is looked at runs nowhere.
    is_idle: bool,
}

/// One use of a command, a job or an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UseId(u32);

struct Use {
    region: Region,
    message: String,
    /// What the use itself came about by.
    outer: Option<UseId>,
}

impl Problems {
    pub(crate) fn new(source: Rc<Source>) -> Self {
        let surplus = Diagnostic::error(source.path(), "");
        Self {
            sources: vec![source],
            found: Vec::new(),
            surplus,
            surplus_count: 0,
            surplus_error: false,
            lookups: 0,
            uses: Vec::new(),
            current_use: None,
            is_idle: false,
        }
    }

    pub(crate) fn error(&mut self, region: Region, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, region, message.into())
    }

    /// A name that stands for nothing, or something that takes no such value: an error, and where nothing
    /// runs it a warning.
    pub(crate) fn misuse(&mut self, region: Region, message: impl Into<String>) -> &mut Diagnostic {
        self.push(self.misuse_severity(), region, message.into())
    }

    /// An error of a value behind a key: told at the value, and where it is used, if a parameter or an alias
    /// brought it there.
    pub(crate) fn error_of(
        &mut self,
        key: &Key,
        value: &Node,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push_of(Severity::Error, key, value, message.into())
    }

    /// The same for [`Problems::misuse`].
    pub(crate) fn misuse_of(
        &mut self,
        key: &Key,
        value: &Node,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push_of(self.misuse_severity(), key, value, message.into())
    }

    fn push_of(
        &mut self,
        severity: Severity,
        key: &Key,
        value: &Node,
        message: String,
    ) -> &mut Diagnostic {
        let region = value.place(key);
        let used =
            is_elsewhere(region, key.region).then(|| self.related(key.region, "it is used here"));
        let problem = self.push(severity, region, message);
        if let Some(used) = used {
            problem.related.insert(0, used);
        }
        problem
    }

    fn misuse_severity(&self) -> Severity {
        if self.is_idle {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// Says whether what is found from now on is in what runs nowhere; returns what was said before.
    pub(crate) fn set_idle(&mut self, is_idle: bool) -> bool {
        std::mem::replace(&mut self.is_idle, is_idle)
    }

    pub(crate) fn warning(
        &mut self,
        region: Region,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Severity::Warning, region, message.into())
    }

    /// An error of a file as a whole.
    pub(crate) fn file_error(
        &mut self,
        file: FileId,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let error = Diagnostic::error(self.source(file).path(), message);
        self.found.push(error);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Adds a file that the config imports; its bytes are read by [`Source::decode`] under this number.
    pub(crate) fn next_file(&self) -> FileId {
        FileId::new(self.sources.len())
    }

    /// Adds the file with the next number.
    pub(crate) fn add_source(&mut self, source: Rc<Source>) {
        self.sources.push(source);
    }

    /// Adds what was found before there was a source to find it in.
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// The file that regions are in.
    pub(crate) fn source_of(&self, file: FileId) -> Rc<Source> {
        let found = self.sources.get(file.index());
        Rc::clone(found.unwrap_or(&self.sources[0]))
    }

    fn source(&self, file: FileId) -> &Source {
        // Regions are only made while their file is read.
        self.sources.get(file.index()).unwrap_or(&self.sources[0])
    }

    /// Begins what is used at a place (`command `greet` is used here`): until [`Problems::leave`], what
    /// is found is found because of that use, and says so. Returns what to leave to.
    pub(crate) fn enter(&mut self, region: Region, message: String) -> Option<UseId> {
        let outer = self.current_use;
        let number = u32::try_from(self.uses.len()).unwrap_or(u32::MAX);
        self.uses.push(Use {
            region,
            message,
            outer,
        });
        self.current_use = Some(UseId(number));
        outer
    }

    /// The same for a value behind a key, if a parameter or an alias brought it there.
    pub(crate) fn enter_value(&mut self, key: &Key, value: &Node) -> Option<UseId> {
        let outer = self.current_use;
        if is_elsewhere(value.place(key), key.region) {
            self.enter(key.region, "it is used here".to_owned());
        }
        outer
    }

    /// Goes back to what [`Problems::enter`] came from, or into what was entered before.
    pub(crate) fn leave(&mut self, to: Option<UseId>) {
        self.current_use = to;
    }

    /// What is entered now.
    pub(crate) fn current_use(&self) -> Option<UseId> {
        self.current_use
    }

    fn trail(&self) -> Vec<Related> {
        const MAX_SHOWN: usize = 4;
        let mut trail = Vec::new();
        let mut next = self.current_use;
        while let Some(found) = next.and_then(|UseId(number)| self.uses.get(number as usize)) {
            if trail.len() < MAX_SHOWN {
                trail.push(self.related(found.region, found.message.clone()));
            }
            next = found.outer;
        }
        trail
    }

    /// How much has been found so far, for [`Problems::rewind`].
    pub(crate) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Forgets what was found after a mark.
    pub(crate) fn rewind(&mut self, mark: usize) {
        self.found.truncate(mark);
        self.surplus_count = 0;
        self.surplus_error = false;
    }

    /// A place, to hang on a diagnostic.
    pub(crate) fn related(&self, region: Region, message: impl Into<String>) -> Related {
        let source = self.source(region.file);
        let (span, excerpt, excerpt_column) = source.excerpt(region, MAX_EXCERPT_CHARS);
        Related {
            message: message.into(),
            path: source.path().to_owned(),
            span,
            excerpt,
            excerpt_column,
        }
    }

    /// What was likely meant by a name, unless that was asked too often already.
    pub(crate) fn nearest<'n>(
        &mut self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        if !self.suggests() {
            return None;
        }
        self.lookups += 1;
        nearest(name, candidates)
    }

    /// Whether [`Problems::nearest`] still answers: gathering candidates for nothing takes time.
    pub(crate) fn suggests(&self) -> bool {
        self.lookups < MAX_LOOKUPS
    }

    /// Whether anything found so far keeps the file from running.
    pub(crate) fn has_errors(&self) -> bool {
        self.surplus_error
            || self
                .found
                .iter()
                .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, by position; those of the config itself first.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let own = self.sources[0].path();
        self.found.sort_by(|one, other| {
            let key = |found: &Diagnostic| (found.path != own, found.span);
            key(one)
                .cmp(&key(other))
                .then_with(|| one.path.cmp(&other.path))
        });
        if self.surplus_count > 0 {
            let mut last = Diagnostic::error(
                self.sources[0].path(),
                format!("there are {} more problems like these", self.surplus_count),
            );
            if !self.surplus_error {
                last.severity = Severity::Warning;
            }
            self.found.push(last);
        }
        self.found
    }

    fn push(&mut self, severity: Severity, region: Region, message: String) -> &mut Diagnostic {
        let source = self.source(region.file);
        let (span, excerpt, excerpt_column) = source.excerpt(region, MAX_EXCERPT_CHARS);
        let path = source.path().to_owned();
        // What stands behind an anchor is read, and found wrong, once for each of its aliases.
        let known = self.found.iter_mut().find(|known| {
            known.span == Some(span) && known.message == message && known.path == path
        });
        if let Some(known) = known {
            // What was a doubt where nothing runs it may be an error elsewhere.
            known.severity = known.severity.min(severity);
            return self.surplus();
        }
        if self.found.len() >= MAX_PER_FILE {
            self.surplus_count += 1;
            // A warning gives way to what keeps the file from running.
            let is_warning = |known: &Diagnostic| known.severity == Severity::Warning;
            match self.found.iter().rposition(is_warning) {
                Some(place) if severity == Severity::Error => {
                    self.found.remove(place);
                }
                Some(_) | None => {
                    self.surplus_error |= severity == Severity::Error;
                    return self.surplus();
                }
            }
        }
        self.found.push(Diagnostic {
            severity,
            message,
            path,
            span: Some(span),
            excerpt: Some(excerpt),
            excerpt_column,
            help: None,
            related: self.trail(),
            kind: ErrorKind::Config,
        });
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// A diagnostic that nobody is told.
    fn surplus(&mut self) -> &mut Diagnostic {
        self.surplus.related.clear();
        &mut self.surplus
    }
}
