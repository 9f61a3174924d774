//! Descriptions for syzkaller against its grammar as its manual gives it (google/syzkaller
//! `docs/syscall_descriptions_syntax.md`) and against what its compiler asks for besides: known types, at most nine
//! arguments (`executor/executor.h`, `kMaxArgs`), different names, resources that some call makes.
//!
//! The compiler itself is written in Go and in no package, so this stands in for it.

mod tools;

use std::collections::HashSet;

use ntgate_gen::Arch;
use ntgate_gen::emit::{Format, Options, emit};

use tools::{lists, typed};

/// What is wrong with a description, by line.
fn check(text: &str) -> Result<usize, String> {
    let mut resources = HashSet::new();
    let (mut made, mut names) = (HashSet::new(), HashSet::new());
    let mut calls = 0;
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| Err(format!("line {}: {what}: {line}", index + 1));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix("resource ") {
            let (name, rest) = rest.split_once('[').unwrap_or((rest, ""));
            let (base, values) = rest.split_once("]: ").unwrap_or((rest, ""));
            let is_number = |text: &str| {
                text.parse::<u64>().is_ok()
                    || text.strip_prefix("0x").is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok())
            };
            if !is_identifier(name) || base != "intptr" || !values.split(", ").all(is_number) {
                return wrong("no resource");
            }
            resources.insert(name);
            continue;
        }
        let Some((name, args)) = line.strip_suffix(')').and_then(|line| line.split_once('(')) else {
            return wrong("no call");
        };
        let args = split(args);
        if !is_identifier(name) || !names.insert(name) || args.len() > 9 {
            return wrong("name or count");
        }
        let mut arg_names = HashSet::new();
        for arg in args {
            let Some((name, ty)) = arg.split_once(' ') else { return wrong("no type") };
            if !is_identifier(name)
                || matches!(name, "parent" | "syscall")
                || !arg_names.insert(name)
                || !is_type(ty, &resources, &mut made)
            {
                return wrong(arg);
            }
        }
        calls += 1;
    }
    match resources.iter().find(|resource| !made.contains(**resource)) {
        Some(resource) => Err(format!("{resource} is made by no call")),
        None => Ok(calls),
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// At the commas that are in no brackets.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(move |c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn is_type<'a>(ty: &'a str, resources: &HashSet<&str>, made: &mut HashSet<&'a str>) -> bool {
    if let Some(inner) = ty.strip_prefix("ptr[").and_then(|rest| rest.strip_suffix(']')) {
        let [direction, pointee] = split(inner)[..] else { return false };
        if direction != "in" && resources.contains(pointee) {
            made.insert(pointee);
        }
        let is_bytes = pointee == "array[int8]";
        return matches!(direction, "in" | "out" | "inout")
            && (is_bytes || resources.contains(pointee) || pointee == "intptr");
    }
    matches!(ty, "int8" | "int16" | "int32" | "int64" | "intptr") || resources.contains(ty)
}

#[test]
fn descriptions_follow_the_grammar() {
    let [default, stress] = lists();
    for arch in Arch::ALL {
        for list in [&default, &stress, &typed()] {
            let text = emit(list, &Options::new(arch, Format::Syzlang)).expect("it is text");
            let calls =
                check(std::str::from_utf8(&text).expect("it is text")).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(calls, list.services().filter(|service| service.args(arch) <= 9).count());
        }
    }
}

#[test]
fn the_grammar_refuses_what_the_compiler_would() {
    for text in [
        "resource h[intptr]: 0\nNtA(a h)\n",
        "NtA(a1 nosuch)\n",
        "NtA(a1 intptr, a1 intptr)\n",
        "NtA(a b c)\n",
        "NtA(a1 ptr[intptr, in])\n",
        "NtA(parent intptr)\n",
        "NtA(syscall intptr)\n",
        "NtA()\nNtA()\n",
        "NtA(a intptr\n",
        "NtA(a intptr, b intptr, c intptr, d intptr, e intptr, f intptr, g intptr, h intptr, i intptr, j intptr)\n",
    ] {
        assert!(check(text).is_err(), "{text}");
    }
    assert_eq!(check("resource h[intptr]: 0, 0xff\nNtA(a ptr[out, h], b int8)\nNtB(a h)\n"), Ok(2));
}
