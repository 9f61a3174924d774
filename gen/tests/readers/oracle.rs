//! Conditions as another tool resolves them.

use std::io::Write;
use std::process::{Command, Stdio};

use ntgate_gen::read::{Options, read};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Expressions over macros of which one is not defined. No shifts by more than the width, which C leaves open.
fn expression() -> impl Strategy<Value = String> {
    let names = ["A", "B", "GONE", "defined(A)", "defined GONE", "0", "1", "3", "0x10", "010", "7UL"];
    let texts = ["SUM", "MINUS", "CHAIN", "CIRCLE", "ROUND", "EMPTY A", "HAS", "CALL", "defined CALL"];
    let names: Vec<_> = names.into_iter().chain(texts).collect();
    let leaf = prop::sample::select::<&str>(names).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 2, |inner| {
        let operators = ["||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "&", "|", "^"];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators.to_vec()), inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            inner.prop_map(|inner| format!("-({inner})")),
        ]
    })
}

/// Macros that are no single values: texts that need their neighbours, chains, circles, names that are left.
const DEFINES: &str = "\
#define SUM A + 1
#define MINUS -B
#define CHAIN SUM * MINUS
#define CIRCLE ROUND - 1
#define ROUND (CIRCLE + 2)
#define EMPTY
#define HAS defined(A)
#define CALL(x) x
";

/// A header in which every condition has rows of its own.
fn header() -> impl Strategy<Value = String> {
    let block = (expression(), expression(), prop::sample::select(vec!["if", "ifdef A //", "ifndef GONE //", "if !"]));
    prop::collection::vec((block, any::<bool>()), 1..8).prop_map(|blocks| {
        let mut text = format!("{DEFINES}SVC_(Always, 1)\n");
        for (index, ((first, second, keyword), is_nested)) in blocks.iter().enumerate() {
            let inner = if *is_nested { format!("#if {second}\nSVC_(I{index}, 4)\n#endif\n") } else { String::new() };
            let first = if *keyword == "if !" { format!("({first})") } else { first.clone() };
            let rows = format!(
                "SVC_(F{index}, 1) /* x */\n{inner}#elif {second}\nSVC_(S{index}, 2)\n#else\nSVC_(T{index}, 3)\n"
            );
            text.push_str(&format!("#{keyword} {first}\n{rows}#endif // {first}\n"));
        }
        text
    })
}

/// The rows that are left, as the C preprocessor leaves them.
fn by_gcc(text: &str) -> Vec<String> {
    let mut child = Command::new("gcc")
        .args(["-E", "-P", "-w", "-x", "c", "-D", "A=2", "-D", "B=(A - 5)", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gcc is there");
    child.stdin.take().expect("it is a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{text}");
    let rows = String::from_utf8(output.stdout).expect("it is text");
    rows.lines().map(|line| line.replace(' ', "")).filter(|line| !line.is_empty()).collect()
}

#[test]
#[ignore = "needs gcc"]
fn conditions_are_resolved_as_gcc_resolves_them() {
    let mut options = Options::default();
    options.defines = [("A", "2"), ("B", "(A - 5)")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(150) });
    let compare = |text: String| {
        let reading =
            read("x.h", text.as_bytes(), &options).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics}"));
        let entries = reading.services().entries().iter();
        let rows: Vec<_> = entries
            .map(|entry| {
                let count = entry.args(ntgate_gen::Arch::I386).expect("it is told");
                format!("SVC_({},{count})", entry.name().trim_start_matches("Nt"))
            })
            .collect();
        prop_assert_eq!(rows, by_gcc(&text), "{}", text);
        Ok(())
    };
    runner.run(&header(), compare).unwrap_or_else(|error| panic!("{error}"));
}
