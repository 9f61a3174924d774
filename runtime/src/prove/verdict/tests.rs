use super::*;
use crate::nt::amd64::profile::WIN7_X64;
use crate::nt::profile::SRV2003;
use crate::prove::amd64::Amd64;
use crate::prove::cpu::Cpu;
use crate::prove::finding::Value;
use crate::prove::group::Group;
use crate::prove::guest::Services;
use crate::prove::i386::I386;
use ntgate_gen::{Arch, ServiceList, Shape, read_list};

/// Two services, of no and of nine arguments; numbers 1 and 2.
fn list() -> ServiceList {
    read_list("t", b"NtNone 0 @1\nNtNine 9\n").expect("the list is right").list
}

fn i386<'a>(services: &'a Services<'a>, shape: Shape) -> Group<'a, I386> {
    Group::new(I386::new(&SRV2003).expect("it assembles"), services, &[shape]).expect("it fits")
}

fn amd64<'a>(services: &'a Services<'a>, shape: Shape) -> Group<'a, Amd64> {
    Group::new(Amd64::new(&WIN7_X64).expect("it assembles"), services, &[shape]).expect("it fits")
}

fn cpu(name: &str) -> Cpu {
    Cpu::by_name(name).expect("there is such a model")
}

/// A record in which everything is as it has to be; bits that may be either are set.
fn right(form: &Form, expected: &Expected) -> Vec<u64> {
    let wants = expected.facts.iter().enumerate();
    let mut facts: Vec<u64> = wants.map(|(index, want)| form.wrap(index, want.value | want.open)).collect();
    let count = expected.facts[form.argument_count].value;
    facts.extend((0..count).map(|k| expected.first_argument + k));
    facts
}

fn findings(form: &Form, facts: &[u64], expected: &Expected) -> Vec<Finding> {
    judge(form, Record::new(form, facts).expect("it is a record"), expected)
}

/// Every call of a group's only shape is right if its record is, and each fact that is not is found.
fn all_facts_are_judged<G: Guest>(group: &Group<'_, G>, cpu: &Cpu) {
    for (index, _) in G::sets(&group.plan).enumerate() {
        let view = group.view(index, cpu);
        for call in G::calls(&group.image, index) {
            let Some(expected) = G::expected(&view, call) else {
                assert!(view.entry().is_none(), "call {call:x} of a set that runs");
                continue;
            };
            let right = right(G::FORM, &expected);
            assert_eq!(findings(G::FORM, &right, &expected), []);
            for &(index, what) in G::FORM.facts.iter().filter(|(index, _)| *index != G::FORM.argument_count) {
                let (want, digits) = (expected.facts[index], G::FORM.digits(index));
                let others = expected.facts.iter().filter(|other| other.like == Some(index)).count();
                for bit in [1, 0x10, 0x8000_0000] {
                    let mut facts = right.clone();
                    facts[index] ^= bit;
                    let seen = findings(G::FORM, &facts, &expected);
                    let is_open = want.open & bit != 0;
                    let found = Finding::number(what, digits, right[index], facts[index]);
                    match (is_open, want.like) {
                        // What it may be either, those that are like it have to be too.
                        (true, None) => assert_eq!(seen.len(), others, "fact {index}"),
                        (true, Some(_)) => assert_eq!(seen, [found], "fact {index}"),
                        (false, _) => {
                            let [one] = &seen[..] else { panic!("fact {index}: {seen:?}") };
                            assert_eq!((one.what, &one.seen), (found.what, &found.seen), "fact {index}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_right_record_is_right_and_every_wrong_fact_is_found() {
    let list = list();
    let services = Services::new(list.primary(), None);
    for &shape in Shape::of(Arch::I386) {
        for name in ["pentium", "pentium2"] {
            all_facts_are_judged(&i386(&services, shape), &cpu(name));
        }
    }
    for &shape in Shape::of(Arch::Amd64) {
        all_facts_are_judged(&amd64(&services, shape), &cpu("core2duo"));
    }
}

#[test]
fn every_fact_of_a_record_is_judged_but_the_call_that_it_is_about() {
    let judged = |form: &Form| {
        let mut judged: Vec<usize> = form.facts.iter().map(|(index, _)| *index).collect();
        judged.sort_unstable();
        judged
    };
    assert_eq!(judged(I386::FORM), (1..I386::FORM.arguments).collect::<Vec<_>>());
    // The last of the narrow facts is a padding.
    let padding = Amd64::FORM.dwords - 1;
    assert_eq!(judged(Amd64::FORM), (1..Amd64::FORM.arguments).filter(|&index| index != padding).collect::<Vec<_>>());
}

#[test]
fn what_may_be_either_is_what_nobody_is_promised() {
    use crate::nt::amd64::record::fact;
    let list = list();
    let services = Services::new(list.primary(), None);
    let open = |shape| {
        let (group, cpu) = (amd64(&services, shape), cpu("core2duo"));
        let expected = Amd64::expected(&group.view(0, &cpu), 1).expect("there is such a call");
        let open = expected.facts.iter().enumerate().filter(|(_, want)| want.open != 0);
        open.map(|(index, want)| (index, want.open)).collect::<Vec<_>>()
    };
    for shape in [Shape::Syscall, Shape::SyscallReactos, Shape::SyscallHome] {
        assert_eq!(open(shape), [], "{shape}");
    }
    // AF behind TEST is undefined; where the flags come back from the frame, it is the frame's.
    let flags = [fact::FRAME_RFLAGS, fact::RFLAGS, fact::R11_AT_ENTRY, fact::R11].map(|index| (index, 0x10));
    assert_eq!(open(Shape::SyscallOrInt2e), flags);
    // Volatile registers and arithmetic flags of a call within the kernel.
    let volatile = [fact::RCX, fact::RDX, fact::R8, fact::R9, fact::R10, fact::R11].map(|index| (index, u64::MAX));
    let mut expected = vec![(fact::RFLAGS, 0x8D5)];
    expected.extend(volatile);
    assert_eq!(open(Shape::ZwAmd64), expected);
}

#[test]
fn every_wrong_argument_is_found() {
    let list = list();
    let services = Services::new(list.primary(), None);
    let (group, cpu) = (i386(&services, Shape::Int2e), cpu("pentium2"));
    let expected = I386::expected(&group.view(0, &cpu), 1).expect("there is such a call");
    for argument in 0..9 {
        let mut facts = right(I386::FORM, &expected);
        facts[I386::FORM.arguments + argument] = 0x5E00_00E0;
        let found = Finding::number(What::argument(argument as u8), 8, 0xA000_0100 + argument as u64, 0x5E00_00E0);
        assert_eq!(findings(I386::FORM, &facts, &expected), [found]);
    }
}

#[test]
fn too_few_and_too_many_arguments_are_found() {
    let list = list();
    let services = Services::new(list.primary(), None);
    let (group, cpu) = (i386(&services, Shape::Int2e), cpu("pentium2"));
    let expected = I386::expected(&group.view(0, &cpu), 1).expect("there is such a call");
    let form = I386::FORM;
    for count in [8, 10] {
        let mut facts = right(form, &expected);
        facts[form.argument_count] = count;
        facts.resize(form.arguments + count as usize, 0x5E00_00E0);
        let [found] = &findings(form, &facts, &expected)[..] else { panic!("one fact is wrong") };
        assert_eq!((found.what.name(), found.what.condition()), ("argument-count", 2));
        assert_eq!(
            (found.expected.to_string(), found.seen.to_string()),
            ("00000009".to_owned(), format!("{count:08x}"))
        );
    }
}

#[test]
fn set_facts_are_judged() {
    let log = |facts| {
        let mut log = SetLog::default();
        log.facts = facts;
        log
    };
    let list = list();
    let services = Services::new(list.primary(), None);
    let group = i386(&services, Shape::SharedEdx);
    let (with, without) = (cpu("pentium2"), cpu("pentium"));
    let good = [0x7C95_ED50, 0x7C95_ED54];
    let int = [0x7C95_ED60, 0];
    assert_eq!(judge_set(&log(Some(good)), &group.view(0, &with)), []);
    assert_eq!(judge_set(&log(Some(int)), &group.view(0, &without)), []);
    let found: Vec<_> =
        judge_set(&log(Some(int)), &group.view(0, &with)).iter().map(|found| found.what.name()).collect();
    assert_eq!(found, ["shared-entry", "shared-return"]);
    assert_eq!(judge_set(&log(None), &group.view(0, &with))[0].what, What::SET_RUNS);

    let group = i386(&services, Shape::Sysenter);
    assert_eq!(judge_set(&log(None), &group.view(0, &without)), []);
    assert_eq!(judge_set(&log(Some(int)), &group.view(0, &without))[0].what, What::SET_RUNS);

    let group = amd64(&services, Shape::SyscallOrInt2e);
    let cpu = cpu("nehalem");
    let [lstar, _] = group.view(0, &cpu).set_facts();
    for (set, shared) in [(0, 0), (1, 1)] {
        assert_eq!(judge_set(&log(Some([lstar, shared])), &group.view(set, &cpu)), []);
        let [found] = &judge_set(&log(Some([lstar, 1 - shared])), &group.view(set, &cpu))[..] else {
            panic!("one fact is wrong")
        };
        assert_eq!(found.what.name(), "shared-system-call");
    }
}

#[test]
fn another_cpu_is_found() {
    let i386 = I386::new(&SRV2003).expect("it assembles");
    let amd64 = Amd64::new(&WIN7_X64).expect("it assembles");
    let line = i386.cpu_line(&cpu("pentium2"));
    assert_eq!(line, "cpuid 1 family 6 model 5 stepping 2 sep 1 sysenter 1");
    assert_eq!(i386.cpu_line(&cpu("486")), "cpuid 0");
    assert_eq!(amd64.cpu_line(&cpu("nehalem")), "family 6 model 1a stepping 3");
    assert_eq!(judge_cpu(Some(&line), &line), None);
    let found = judge_cpu(Some("cpuid 0"), &line).expect("it is another");
    assert_eq!(found.what, What::CPU);
    assert_eq!(found.seen, Value::Text("cpuid 0".to_owned()));
    assert!(judge_cpu(None, &line).is_some());
}
