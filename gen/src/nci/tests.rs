//! Tests of what is refused, and of what only the text can show.

use super::*;
use crate::read_list;

fn list(text: &str) -> ServiceList {
    read_list("test.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn refused(target: Target, sysfuncs: &str, w32ksvc: &str) -> String {
    generate(target, &list(sysfuncs), &list(w32ksvc)).expect_err("there is no place for it").to_string()
}

const GUI: &str = "NtGdiFlush 0\n";

#[test]
fn what_the_old_formats_cannot_hold_is_refused() {
    let told = refused(Target::I386, "NtA 1\nNtB 2 @0x55\n", GUI);
    assert!(told.starts_with("sysfuncs.lst, line 2: NtB has the number 0x55, not 0x1; "), "{told}");
    let told = refused(Target::I386, "NtA 1\n#! table win32k base=0x1000\nNtB 2\n", GUI);
    assert!(told.starts_with("sysfuncs.lst has a second table, win32k; "), "{told}");
    let told = refused(Target::I386, "NtA 1\n", "#! table other base=0x2000\nNtB 2\n");
    assert_eq!(told, "w32ksvc.db starts at 0x2000; nci has 0x1000 there");
    let told = refused(Target::Mips, "NtA 1\nNtGdiFlush 0\n", GUI);
    assert_eq!(told, "w32ksvc.db, line 1: NtGdiFlush is in sysfuncs.lst, too");
    let told = refused(Target::Amd64, "NtA 1\nNtMany 32\n", GUI);
    assert!(told.starts_with("line 2: NtMany takes 32 arguments, over the 31 "), "{told}");
    assert!(generate(Target::I386, &list("NtMany 63\n"), &list(GUI)).is_ok());
}

#[test]
fn the_table_of_win32k_may_say_its_base() {
    let plain = generate(Target::Amd64, &list("NtA 1\n"), &list(GUI)).expect("it is right");
    let directive = list(&format!("#! table win32k base=0x1000\n{GUI}"));
    assert_eq!(generate(Target::Amd64, &list("NtA 1\n"), &directive).expect("it is right"), plain);
    assert!(plain.win32k_s.contains("mov $0x1000,%eax"), "{}", plain.win32k_s);
}

#[test]
fn each_target_has_its_own_counts() {
    let [main, gui] = [list("NtWide 5/4\n"), list(GUI)];
    for target in Target::ALL {
        let outputs = generate(target, &main, &gui).expect("it is right");
        let count = if target == Target::Amd64 { 4 } else { 5 };
        assert!(outputs.napi_h.contains(&format!("\t{count} * sizeof(void *),\n")), "{target}");
        assert!(outputs.nt_pspec.starts_with(&format!("@ stdcall NtWide({})\n", vec!["ptr"; count].join(" "))));
        assert_eq!(outputs.note.is_some(), matches!(target, Target::Amd64 | Target::Mips));
        assert_eq!(target.name().parse(), Ok(target));
    }
}
