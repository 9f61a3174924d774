//! The services that the systems of the profiles had: what a list is held against that is to be proven under one of them.

/// The list of a profile's own system, in the format of `sysfuncs.lst`; `None` for ReactOS, whose list is the program's own.
///
/// Names and numbers are those of github.com/j00ru/windows-syscalls; where the counts come from stands in each list.
#[must_use]
pub fn list_of(profile: &str) -> Option<&'static str> {
    Some(match profile {
        "nt4" => include_str!("lists/nt4.lst"),
        "win2000" => include_str!("lists/win2000.lst"),
        "winxp" => include_str!("lists/winxp.lst"),
        "winxp-sp2" => include_str!("lists/winxp-sp2.lst"),
        "srv2003" => include_str!("lists/srv2003.lst"),
        "win7" => include_str!("lists/win7.lst"),
        "win8" => include_str!("lists/win8.lst"),
        "win7-x64" => include_str!("lists/win7-x64.lst"),
        "win10-x64" => include_str!("lists/win10-x64.lst"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntgate_gen::read_list;

    #[test]
    fn the_lists_are_those_of_their_systems() {
        for (profile, services, name, number) in [
            ("nt4", 211, "NtWriteFile", 200),
            ("win2000", 248, "NtWriteFile", 237),
            ("winxp", 284, "NtWriteFile", 0x112),
            ("winxp-sp2", 284, "NtWriteFile", 0x112),
            ("srv2003", 296, "NtWriteFile", 0x11C),
            ("win7", 401, "NtWriteFile", 0x18C),
            ("win8", 429, "NtWriteFile", 5),
            ("win7-x64", 401, "NtWriteFile", 5),
            ("win10-x64", 444, "NtWriteFile", 8),
        ] {
            let read = read_list(profile, list_of(profile).expect("there is one").as_bytes()).expect("it is right");
            assert!(read.warnings.is_empty(), "{profile}");
            let table = read.list.primary();
            assert_eq!(table.len(), services, "{profile}");
            let service = table.by_name(name).expect("every system has it");
            assert_eq!((service.number(), service.args(ntgate_gen::Arch::I386)), (number, 9), "{profile}");
        }
        assert_eq!(list_of("reactos"), None);
    }
}
