//! The source files of a crate, and which of them uses which: held against the lists in `layers.rs` of each crate's tests.
//!
//! It reads text, not what the compiler knows: paths that begin with `crate`, `self`, `super` or a child module, in `use` and
//! elsewhere, in macros too. A path through a re-export leads to where the item is defined; a re-export itself, like `mod`, is
//! no use of a module.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test relies on and does not find ends the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::{ONLY_IN, ROOMS};

/// The longest file, in lines of production code.
const MAX_LINES: usize = 400;

/// Modules by their path, such as `cache::refresher`; the crate's root is the empty one.
struct Source(BTreeMap<String, Module>);

/// One file, without its tests and without comments.
struct Module {
    code: String,
    uses: BTreeSet<Segments>,
    /// By the name that is exported.
    exports: BTreeMap<String, Segments>,
}

/// The segments of a path below the crate.
type Segments = Vec<String>;

impl Source {
    /// Reads the crate whose tests these are.
    fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        walk(&folder, &mut files);
        let mut modules = BTreeMap::new();
        for file in files {
            let below = file.strip_prefix(&folder).expect("is in it").with_extension("");
            let name: Vec<_> = below.iter().map(|part| part.to_str().expect("is text")).collect();
            if name.contains(&"tests") || name == ["main"] {
                continue;
            }
            let code = production(&fs::read_to_string(&file).expect("is text"));
            let module = Module { code, uses: BTreeSet::new(), exports: BTreeMap::new() };
            modules.insert(if name == ["lib"] { String::new() } else { name.join("::") }, module);
        }
        let mut source = Self(modules);
        source.find_paths();
        source
    }

    fn find_paths(&mut self) {
        for name in self.0.keys().cloned().collect::<Vec<_>>() {
            let (mut uses, mut exports) = (BTreeSet::new(), BTreeMap::new());
            for path in paths(&self.0[&name].code) {
                let Some(target) = self.absolute(&name, &path.segments) else { continue };
                match path.exported_as {
                    Some(export) => drop(exports.insert(export, target)),
                    None => drop(uses.insert(target)),
                }
            }
            let module = self.0.get_mut(&name).expect("is there");
            (module.uses, module.exports) = (uses, exports);
        }
    }

    /// A path as seen from the crate's root; `None` for one into another crate.
    fn absolute(&self, module: &str, path: &[String]) -> Option<Segments> {
        let mut base: Segments =
            module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                let child = [base.as_slice(), &[child.to_owned()]].concat();
                self.0.get(&child.join("::"))?;
            }
        }
        base.extend(rest.iter().filter(|part| *part != "self").cloned());
        Some(base)
    }

    /// The module that defines what a path leads to.
    fn module_of(&self, path: &[String]) -> String {
        let end = (0..=path.len()).rev().find(|&end| self.0.contains_key(&path[..end].join("::")));
        let end = end.expect("the root is there");
        let name = path[..end].join("::");
        match path.get(end).and_then(|item| self.0[&name].exports.get(item)) {
            Some(export) if export[..] != path[..=end] => {
                self.module_of(&[export, &path[end + 1..]].concat())
            }
            _ => name,
        }
    }

    /// For each module those that it uses, without itself.
    fn graph(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let others = |(name, module): (&'_ String, &'_ Module)| {
            let targets = module.uses.iter().map(|path| self.module_of(path));
            targets.filter(|target| target != name && !target.is_empty()).collect()
        };
        self.0.iter().map(|(name, module)| (name.as_str(), others((name, module)))).collect()
    }

    fn against_order(&self, rooms: &[&str]) -> Vec<(String, String)> {
        let rank = |module: &str| {
            let place = rooms.iter().position(|listed| *listed == room(module));
            place.unwrap_or_else(|| panic!("{module}: a room that is not in the list"))
        };
        let mut wrong = Vec::new();
        for (module, uses) in self.graph().into_iter().filter(|(module, _)| !module.is_empty()) {
            let after = uses.iter().filter(|used| rank(used) > rank(module));
            wrong.extend(after.map(|used| (module.to_owned(), used.clone())));
        }
        wrong
    }

    /// Groups of modules each of which uses, in the end, itself.
    fn cycles(&self) -> BTreeSet<BTreeSet<String>> {
        let graph = self.graph();
        let reach = |from: &str| {
            let mut found = BTreeSet::new();
            let mut next: Vec<&String> = graph[from].iter().collect();
            while let Some(module) = next.pop() {
                if found.insert(module.clone()) {
                    next.extend(&graph[module.as_str()]);
                }
            }
            found
        };
        let reached: BTreeMap<&str, BTreeSet<String>> =
            graph.keys().map(|&module| (module, reach(module))).collect();
        let in_cycles = reached.iter().filter(|(module, reached)| reached.contains(**module));
        in_cycles
            .map(|(module, found)| {
                found.iter().filter(|other| reached[other.as_str()].contains(*module)).cloned().collect()
            })
            .collect()
    }

    /// The files with more production code than a file should have.
    fn long_files(&self) -> Vec<String> {
        let lines = |module: &Module| module.code.lines().filter(|line| !line.trim().is_empty()).count();
        let long = self.0.iter().filter(|(_, module)| lines(module) > MAX_LINES);
        long.map(|(name, module)| format!("{name}: {} lines", lines(module))).collect()
    }

    /// The modules whose code has one of these words in it.
    fn with_any(&self, words: &[&str]) -> BTreeSet<&str> {
        let found = self.0.iter().filter(|(_, module)| words.iter().any(|word| module.code.contains(word)));
        found.map(|(name, _)| name.as_str()).collect()
    }
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("is a folder") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn production(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.fold(String::new(), |code, line| code + line + "\n")
}

/// A path in the text, and the name by which it is exported if it is.
struct FoundPath {
    segments: Segments,
    exported_as: Option<String>,
}

fn paths(code: &str) -> Vec<FoundPath> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before]);
        if tokens[at] == "use" {
            let is_export = matches!(before, "pub" | ")");
            at += 1;
            use_tree(&tokens, &mut at, &[], is_export, &mut found);
            continue;
        }
        let begins = is_word(tokens[at]) && !matches!(before, "::" | "." | "mod" | "fn");
        let mut segments = vec![tokens[at].to_owned()];
        while begins
            && tokens.get(at + 1) == Some(&"::")
            && tokens.get(at + 2).is_some_and(|next| is_word(next))
        {
            segments.push(tokens[at + 2].to_owned());
            at += 2;
        }
        if segments.len() > 1 {
            found.push(FoundPath { segments, exported_as: None });
        }
        at += 1;
    }
    found
}

/// What stands behind `use`, or in its braces.
fn use_tree(tokens: &[&str], at: &mut usize, prefix: &[String], is_export: bool, found: &mut Vec<FoundPath>) {
    let mut segments = prefix.to_vec();
    let mut alias = None;
    while let Some(&token) = tokens.get(*at) {
        match token {
            "{" => {
                while !matches!(tokens.get(*at), None | Some(&"}")) {
                    *at += 1;
                    use_tree(tokens, at, &segments, is_export, found);
                }
                *at += 1;
                return;
            }
            "," | "}" | ";" => break,
            "as" => {
                alias = tokens.get(*at + 1).map(|&alias| alias.to_owned());
                *at += 1;
            }
            word if is_word(word) => segments.push(word.to_owned()),
            _ => {}
        }
        *at += 1;
    }
    if segments.len() > prefix.len() {
        let name = alias.or_else(|| segments.last().cloned());
        found.push(FoundPath { segments, exported_as: name.filter(|_| is_export) });
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, and any other character for itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn module_uses_only_those_before_it() {
    let wrong = Source::read().against_order(ROOMS);
    assert!(wrong.is_empty(), "the first may not use the second, which comes after it: {wrong:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let cycles = Source::read().cycles();
    assert!(cycles.is_empty(), "these do: {cycles:#?}");
}

#[test]
fn few_may_do_what_is_risky() {
    let source = Source::read();
    for (what, words, places) in ONLY_IN {
        let is_listed = |module: &&str| {
            places.iter().any(|place| {
                module.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
        };
        let others: Vec<_> = source.with_any(words).into_iter().filter(|module| !is_listed(module)).collect();
        assert!(others.is_empty(), "{others:?}: each {what}, and is not in the list");
    }
}

#[test]
fn no_file_is_too_long() {
    let long = Source::read().long_files();
    assert!(long.is_empty(), "more than {MAX_LINES} lines of production code: {long:#?}");
}

#[test]
fn paths_are_found_in_text() {
    let code = production(
        "use crate::{config::{self, Host as H}, http};\n// crate::no\npub(crate) use self::a::{B as C};\n\
         let x = crate::problem::new(super::y::Z);\n#[cfg(test)]\nmod tests { use crate::no; }\n",
    );
    let found = paths(&code);
    let found: Vec<_> =
        found.iter().map(|path| (path.segments.join("::"), path.exported_as.as_deref())).collect();
    let used = |path: &str| (path.to_owned(), None);
    let expected = [
        used("crate::config::self"),
        used("crate::config::Host"),
        used("crate::http"),
        ("self::a::B".to_owned(), Some("C")),
        used("crate::problem::new"),
        used("super::y::Z"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn modules_that_use_each_other_are_a_cycle() {
    let module =
        |code: &str| Module { code: code.to_owned(), uses: BTreeSet::new(), exports: BTreeMap::new() };
    let files = [
        ("", "mod a; mod b; mod c;"),
        ("a", "pub use self::part::Part; use crate::b::B;"),
        ("a::part", "use crate::c::C;"),
        ("b", "fn x() { crate::a::Part::new(); super::c::y() }"),
        ("c", "use super::a::{Part, self};"),
    ];
    let mut source = Source(files.map(|(name, code)| (name.to_owned(), module(code))).into());
    source.find_paths();
    // Through the re-export, `b` uses `a::part`, which leads to `a` by way of `c`.
    let all = ["a", "a::part", "b", "c"].map(str::to_owned);
    assert_eq!(source.cycles(), [all.into()].into());
    assert_eq!(
        source.against_order(&["a", "b", "c"]),
        [("a", "b"), ("a::part", "c"), ("b", "c")].map(|(module, used)| (module.to_owned(), used.to_owned()))
    );
}
