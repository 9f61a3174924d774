//! What the macros refuse, and what they expand to.
//!
//! Expansions are shown as a person reads them who asks `cargo expand`: laid out by prettyplease. How they compile is tested
//! by the crates in `tests/consumers`.

use proc_macro2::{TokenStream, TokenTree};

use crate::macros::{expand_derive, expand_each, expand_numbers, expand_stubs, expand_table};

type Macro = fn(TokenStream) -> TokenStream;

fn expand(expand: Macro, input: &str) -> String {
    expand(input.parse().expect("the input is tokens")).to_string()
}

/// The messages of the compile errors that an input expands to.
fn errors(of: Macro, input: &str) -> Vec<String> {
    let file: syn::File = syn::parse_str(&expand(of, input)).expect("it is Rust");
    let mut errors = Vec::new();
    for item in file.items {
        if let syn::Item::Macro(item) = item
            && item.mac.path.segments.last().is_some_and(|last| last.ident == "compile_error")
        {
            errors.push(item.mac.parse_body::<syn::LitStr>().expect("it has a message").value());
        }
    }
    errors
}

/// What an input expands to, laid out.
fn pretty(of: Macro, input: &str) -> String {
    laid_out(&expand(of, input))
}

/// Without the path of the list, which is this machine's; a long one would break lines elsewhere.
fn laid_out(expanded: &str) -> String {
    let expanded = expanded.replace(env!("CARGO_MANIFEST_DIR"), "$CARGO_MANIFEST_DIR");
    prettyplease::unparse(&syn::parse_str(&expanded).expect("it is Rust"))
}

#[test]
fn expansions_are_readable() {
    let typed = r#"list = "tests/typed.lst""#;
    for (name, of, input) in [
        ("stubs_i386", expand_stubs as Macro, format!(r#"{typed}, shape = "shared-edx", zw, export, code32"#)),
        (
            "stubs_amd64",
            expand_stubs,
            format!(r#"{typed}, shape = "syscall-or-int2e", encoding = "msvc", only(NtClose)"#),
        ),
        (
            "stubs_types",
            expand_stubs,
            format!(r#"{typed}, arch = "amd64", types = crate::types, visibility = pub(crate)"#),
        ),
        (
            "stubs_kernel",
            expand_stubs,
            format!(r#"{typed}, arch = "amd64", shape = "zw", only(NtClose), abi = "system""#),
        ),
        ("stubs_bytes", expand_stubs, format!(r#"{typed}, shape = "svc", bytes"#)),
        ("table", expand_table, format!(r#"{typed}, handlers = crate::handlers"#)),
        (
            "table_packed",
            expand_table,
            format!(r#"{typed}, handlers = handlers, arch = "x64", table = "win32k", packed"#),
        ),
        ("numbers", expand_numbers, format!(r#"{typed}, name = Service"#)),
        ("each", expand_each, format!(r#"{typed}, callback = crate::each"#)),
        ("each_expression", expand_each, format!(r#"{typed}, callback = each, expression, only(NtClose)"#)),
    ] {
        let shown = match name {
            // An expression is no file.
            "each_expression" => pretty_expression(of, &input),
            _ => pretty(of, &input),
        };
        insta::assert_snapshot!(format!("expand_{name}"), shown);
    }
    let derive = format!("#[services({typed}, shape = \"syscall\", crate = nt)] pub struct Ntdll<T: Copy>(T);");
    insta::assert_snapshot!("expand_derive", pretty(expand_derive, &derive));
}

fn pretty_expression(of: Macro, input: &str) -> String {
    laid_out(&format!("const _: () = {};", expand(of, input)))
}

#[test]
fn every_mistake_of_a_list_is_a_compile_error() {
    for (of, input) in [
        (expand_stubs as Macro, r#"list = "tests/bad.lst", arch = "i386""#),
        (expand_table, r#"list = "tests/bad.lst", handlers = handlers"#),
        (expand_numbers, r#"list = "tests/bad.lst", name = Service"#),
        (expand_each, r#"list = "tests/bad.lst", callback = each"#),
        (expand_derive, r#"#[services(list = "tests/bad.lst", arch = "i386")] struct Ntdll;"#),
    ] {
        let errors = errors(of, input);
        assert_eq!(errors.len(), 3, "{errors:?}");
        let starts = [
            "tests/bad.lst:2:4: error: `NtB` has no argument count [E001]\n2 | NtB    <- count missing\nhelp: ",
            "tests/bad.lst:3:1: error: `NtA` is in the list already [E002]\n3 | NtA 2    <- again here\n1 | NtA 1    <- first here\n",
            "tests/bad.lst:4:1: error: `Foo` does not start with `Nt` [E007]\n4 | Foo 3\nhelp: ",
        ];
        for (error, start) in errors.iter().zip(starts) {
            assert!(error.starts_with(start), "{error}");
        }
    }
}

#[test]
fn a_list_with_mistakes_is_watched_too() {
    assert!(expand(expand_stubs, r#"list = "tests/bad.lst", arch = "i386""#).contains("include_bytes !"));
    assert!(expand(expand_stubs, r#"list = "tests/small.lst""#).contains("include_bytes !"));
}

#[test]
fn warnings_are_deprecations() {
    let expanded = expand(expand_stubs, r#"list = "tests/octal.lst", arch = "x86""#);
    assert!(expanded.contains("deprecated") && expanded.contains("[W001]"), "{expanded}");
    assert!(!expanded.contains("compile_error"), "{expanded}");
}

/// One mistake each; the message begins so.
#[test]
fn wrong_arguments_are_told() {
    for (of, input, message) in [
        (expand_stubs as Macro, r#"shape = "syscall""#, "`list = \"sysfuncs.lst\"` is missing"),
        (expand_stubs, r#"list = "tests/small.lst""#, "`shape = \"syscall\"` is missing"),
        (expand_stubs, r#"list = "tests", arch = "i386""#, "cannot read the list "),
        (expand_stubs, r#"list = "tests/small.lst", arch = "vax""#, "unknown architecture \"vax\"; known: "),
        (expand_stubs, r#"list = "tests/small.lst", shape = "zw""#, "`zw` is a shape of i386 and of amd64: "),
        (expand_stubs, r#"list = "tests/small.lst", shape = "int3f""#, "unknown shape \"int3f\"; known: "),
        (expand_stubs, r#"list = "tests/small.lst", arch = "i386", encoding = "masm""#, "unknown encoding "),
        (expand_stubs, r#"shape = "sysenter", list = "tests/small.lst", arch = "amd64""#, "unknown amd64 shape "),
        (expand_stubs, r#"list = "tests/small.lst", arch = "arm64", shape = "zw""#, "unknown arm64 shape "),
        (expand_stubs, r#"arch = "x86", list = "tests/small.lst", list = "b""#, "`list` is given twice"),
        (expand_stubs, r#"list = "tests/small.lst", arch = "x64", code32"#, "`code32` is for i386 shapes"),
        (expand_stubs, r#"list = "tests/small.lst", arch = "x64", bytes, zw"#, "`zw` is about functions"),
        (
            expand_stubs,
            r#"list = "tests/small.lst", arch = "x64", abi = "C""#,
            "stubs of amd64 are called by \"win64\"",
        ),
        (expand_stubs, r#"list = "tests/small.lst", arch = "x64", only()"#, "no service of the list is left"),
        (
            expand_stubs,
            r#"list = "tests/small.lst", arch = "x64", only(ZwOne)"#,
            "`ZwOne` is not in the list tests/small.lst; did you mean `NtOne`?",
        ),
        (
            expand_stubs,
            r#"list = "tests/small.lst", arch = "x64", except(NtOn)"#,
            "`NtOn` is not in the list tests/small.lst; did you mean `NtOne`?",
        ),
        (expand_stubs, r#"list = "tests/small.lst", arch = "x64", only(NtOne), except(NtNone)"#, "`only` and `except`"),
        (
            expand_stubs,
            r#"list = "tests/small.lst", arch = "x64", visibilty = pub"#,
            "there is no option `visibilty`; did you mean `visibility = pub(crate)`?",
        ),
        (
            expand_stubs,
            r#"list = "tests/small.lst", arch = "x64", handlers = a"#,
            "there is no option `handlers`; known: list, ",
        ),
        (expand_stubs, r#"list = "tests/small.lst" arch = "x64", arch = "x64""#, "expected `,`"),
        (expand_table, r#"list = "tests/small.lst""#, "`handlers = crate::handlers` is missing"),
        (expand_table, r#"list = "tests/small.lst", handlers = a, arch = "arm64""#, "there are no tables for arm64"),
        (
            expand_table,
            r#"list = "tests/small.lst", handlers = a, arch = "x86", packed"#,
            "packed tables are for amd64",
        ),
        (
            expand_table,
            r#"list = "tests/small.lst", handlers = a, table = "win32""#,
            "the list has no table \"win32\"; it has main, win32k; did you mean \"win32k\"?",
        ),
        (expand_numbers, r#"list = "tests/small.lst""#, "`name = Service` is missing"),
        (expand_each, r#"list = "tests/small.lst""#, "`callback = my_macro` is missing"),
        (expand_derive, "struct Ntdll;", "the list is missing: "),
        (expand_derive, "#[services] struct Ntdll;", "expected attribute arguments"),
        (
            expand_derive,
            r#"#[services(list = "tests/small.lst", arch = "x64")] #[services()] struct Ntdll;"#,
            "`#[services(...)]` is given twice",
        ),
    ] {
        let errors = errors(of, input);
        assert_eq!(errors.len(), 1, "{input}: {errors:?}");
        assert!(errors[0].starts_with(message), "{input}: {}", errors[0]);
    }
}

#[test]
fn a_missing_list_tells_where_it_was_looked_for() {
    let errors = errors(expand_stubs, r#"list = "no/such.lst", arch = "i386""#);
    let path = concat!("cannot read the list ", env!("CARGO_MANIFEST_DIR"), "/no/such.lst: there is no such file\n");
    assert!(errors[0].starts_with(path), "{errors:?}");
    assert!(errors[0].contains("relative to CARGO_MANIFEST_DIR"), "{errors:?}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let input = r#"lst = "a", arch = "vax", encoding = "masm", abi = 3, only(1), list = "tests/bad.lst", zv"#;
    let errors = errors(expand_stubs, input);
    assert_eq!(errors.len(), 4 + 2 + 3, "{errors:#?}");
}

/// Services that no table or architecture can hold are found with their line.
#[test]
fn what_does_not_fit_a_table_is_told() {
    let errors = |input: &str| {
        let expanded = expand(expand_table, input);
        let file: syn::File = syn::parse_str(&expanded).expect("it is Rust");
        file.items.iter().filter(|item| matches!(item, syn::Item::Macro(_))).count()
    };
    assert_eq!(errors(r#"list = "tests/wide.lst", handlers = a, arch = "i386""#), 0);
    assert_eq!(errors(r#"list = "tests/wide.lst", handlers = a, arch = "amd64""#), 1);
    assert_eq!(errors(r#"list = "tests/wide.lst", handlers = a, arch = "amd64", packed"#), 2);
    let expanded = expand(expand_table, r#"list = "tests/wide.lst", handlers = a, arch = "amd64", packed"#);
    for message in [
        "tests/wide.lst:1: `NtWide` takes 256 bytes of arguments, over the 255 of an argument table on amd64",
        "tests/wide.lst:2: `NtDeep` takes 16 arguments on the stack, over the 15 of a packed table",
    ] {
        assert!(expanded.contains(message), "{expanded}");
    }
}

/// What is said has its list's name in it, which may have what a format would take for its own.
#[test]
fn names_of_lists_are_text() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("a{b} \"c\".lst");
    std::fs::write(&path, "NtClose 1 (HANDLE Handle)\n").expect("it can be written");
    let list = path.to_str().expect("it is text");
    let expanded = expand(expand_stubs, &format!("list = {list:?}, arch = \"amd64\", types = t"));
    assert!(expanded.contains("a{{b}} \\\"c\\\".lst:1: `NtClose` takes"), "{expanded}");
    let expanded = expand(expand_table, &format!("list = {list:?}, arch = \"amd64\", handlers = h"));
    assert!(expanded.contains("a{{b}}") && expanded.contains("struct a_b___c__lst_line"), "{expanded}");
}

/// Whatever stands there: a token too many, one too few, or another one. What comes of it is Rust.
#[test]
fn no_input_is_a_panic() {
    let odd = r#"list = "tests/odd.lst", arch = "amd64""#;
    for (of, input) in [
        (
            expand_stubs as Macro,
            format!(
                "{odd}, shape = \"zw\", encoding = \"gnu\", abi = \"win64\", types = t::u, export, except(NtA, NtD)"
            ),
        ),
        (expand_stubs, format!("{odd}, zw, doc = false, visibility = pub(in a::b), only(NtB)")),
        (expand_stubs, r#"list = "tests/odd.lst", shape = "sysenter", code32, export"#.to_owned()),
        (expand_table, format!("{odd}, handlers = self::h, packed, table = \"other\"")),
        (expand_numbers, r#"list = "tests/odd.lst", name = r#enum, visibility = crate"#.to_owned()),
        (expand_each, r#"list = "tests/odd.lst", callback = a::b, except(NtD)"#.to_owned()),
        (expand_derive, format!("#[services({odd}, crate = a::b)] enum A<'a, const N: usize> where u8: Copy {{}}")),
    ] {
        let tokens: Vec<TokenTree> = input.parse::<TokenStream>().expect("the input is tokens").into_iter().collect();
        let others: Vec<TokenTree> =
            "x 1 \"\" = , () r#x".parse::<TokenStream>().expect("they are tokens").into_iter().collect();
        for at in 0..tokens.len() {
            let (before, after) = (&tokens[..at], &tokens[at + 1..]);
            let same = [tokens[at].clone(), tokens[at].clone()];
            let instead = others.iter().map(std::slice::from_ref).chain([&[][..], &same]);
            for instead in instead {
                let input: TokenStream = [before, instead, after].concat().into_iter().collect();
                let expanded = of(input.clone()).to_string();
                assert!(syn::parse_str::<syn::File>(&expanded).is_ok(), "{input}: {expanded}");
            }
        }
    }
}

/// Words of C that are no types of Rust's, and those that no identifier may be.
#[test]
fn odd_signatures_are_rust() {
    for types in ["", ", types = crate::types"] {
        for arch in ["i386", "amd64", "arm64"] {
            let expanded =
                expand(expand_stubs, &format!("list = \"tests/odd.lst\", arch = \"{arch}\"{types}, except(NtD)"));
            assert!(syn::parse_str::<syn::File>(&expanded).is_ok(), "{expanded}");
        }
    }
}
