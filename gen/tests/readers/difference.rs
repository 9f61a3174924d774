//! What moved, and how it is told.

use ntgate_gen::diff::Diff;
use ntgate_gen::read::{Options, Services, read};
use serde_json::Value;

fn services(name: &str, text: &str) -> Services {
    let reading =
        read(name, text.as_bytes(), &Options::default()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    reading.services().clone()
}

fn example() -> Diff {
    let old: String = (0..8).map(|index| format!("NtS{index} {index}\n")).collect();
    let new = "NtS0 0\nNtNew 4/3\nNtS2 3\nNtS3 3\nNtX 1\nNtS4 4\nNtS5 5\nNtS6 6\nNtS7 9/7\n";
    Diff::new(&services("old.lst", &old), &services("dir/new list.lst", new))
}

#[test]
fn text_is_for_people() {
    insta::assert_snapshot!("diff_text", example().to_text());
}

#[test]
fn json_is_for_programs() {
    insta::assert_snapshot!("diff_json", example().to_json());
}

#[test]
fn sarif_is_for_code_hosts() {
    insta::assert_snapshot!("diff_sarif", example().to_sarif());
}

#[test]
fn what_a_side_does_not_know_is_not_compared() {
    let old = services("old.tsv", "NtA\t100\nNtB\t101\n");
    let new = services("new.spec", "@ stdcall NtB(long)\n@ stdcall NtA()\n");
    let diff = Diff::new(&old, &new);
    assert!(diff.is_same());
    assert_eq!(
        diff.notes(),
        [
            "old.tsv has no argument counts: they are not compared",
            "new.spec has no service numbers: they are not compared"
        ]
    );
}

#[test]
fn another_table_at_the_same_places_is_a_hint() {
    let old = services("old.csv", "System call,X\nNtA,0x1000\nNtB,0x1001\n");
    let diff = Diff::new(&old, &services("new.lst", "NtA 1\nNtB 1\n"));
    assert_eq!(diff.renumbered().len(), 2);
    let note = diff.notes().last().expect("there is one");
    assert!(note.ends_with("--base 0x1000 gives a file without table numbers that base"), "{note}");
}

/// What the published schema (`sarif-schema-2.1.0.json`) requires of the objects that are written, and the values that it
/// allows.
#[test]
fn sarif_has_what_its_schema_requires() {
    let log: Value = serde_json::from_str(&example().to_sarif()).expect("it is JSON");
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().is_some_and(|uri| uri.starts_with("https://")));
    let run = &log["runs"].as_array().expect("there are runs")[0];
    assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().expect("a string")));
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "ntgate");
    let rules = driver["rules"].as_array().expect("there are rules");
    for rule in rules {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
    }
    let results = run["results"].as_array().expect("there are results");
    assert_eq!(results.len(), 1 + 2 + 4 + 2);
    for result in results {
        assert!(result["message"]["text"].is_string(), "{result}");
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().expect("a string")));
        let index = result["ruleIndex"].as_u64().expect("a number") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().expect("a string");
        assert!(["old.lst", "dir/new%20list.lst"].contains(&uri), "{uri}");
        assert!(place["region"]["startLine"].as_u64() >= Some(1) && place["region"]["startColumn"].as_u64() >= Some(1));
    }
}
