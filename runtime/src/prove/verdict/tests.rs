use super::*;
use crate::nt::profile::SRV2003;
use crate::nt::record::{KERNEL_POINTER, PAST_END, UNMAPPED_POINTER};
use crate::nt::{Image, Kernel, Plan};
use crate::prove::finding::Value;
use crate::prove::plan::plan;
use crate::prove::record::SharedFacts;
use ntgate_gen::{Shape, read_list};

struct Case {
    plan: Plan,
    image: Image,
}

impl Case {
    /// Two services, of no and of nine arguments; numbers 1 and 2.
    fn new(shape: Shape) -> Self {
        let read = read_list("t", b"NtNone 0 @1\nNtNine 9\n").expect("the list is right");
        let plan = plan(read.list.primary(), &[shape]);
        let image = Kernel::new(&SRV2003).expect("it assembles").image(&plan).expect("it fits");
        Self { plan, image }
    }

    fn view(&self, sysenter: bool) -> SetView<'_> {
        SetView { profile: &SRV2003, plan: &self.plan, image: &self.image, index: 0, sysenter }
    }
}

/// The dwords of a record in which everything is as it has to be.
fn right(expected: &Expected) -> Vec<u32> {
    let mut dwords = expected.facts.to_vec();
    let count = expected.facts[fact::ARGUMENT_COUNT];
    dwords.extend((0..count).map(|k| expected.first_argument + k));
    dwords
}

fn findings(dwords: &[u32], expected: &Expected) -> Vec<Finding> {
    judge(Record::new(dwords).expect("it is a record"), expected)
}

#[test]
fn a_right_record_is_found_right() {
    for shape in Shape::ALL {
        let case = Case::new(shape);
        for sysenter in [false, true] {
            let view = case.view(sysenter);
            for call in view.calls() {
                let Some(expected) = view.expected(call) else {
                    assert!(!view.runs(), "{shape} has no call {call:x}");
                    continue;
                };
                assert_eq!(findings(&right(&expected), &expected), [], "{shape}, call {call:x}");
            }
        }
    }
}

#[test]
fn every_wrong_fact_is_found_and_nothing_else() {
    let case = Case::new(Shape::SharedEdx);
    let expected = case.view(true).expected(1).expect("there is such a call");
    for (index, what) in JUDGED {
        if what == What::ArgumentCount {
            continue;
        }
        for bit in [1, 0x8000_0000] {
            let mut dwords = right(&expected);
            dwords[index] ^= bit;
            let found = Finding::dword(what, expected.facts[index], expected.facts[index] ^ bit);
            assert_eq!(findings(&dwords, &expected), [found]);
        }
    }
}

#[test]
fn every_fact_of_a_record_is_judged_but_the_call_that_it_is_about() {
    let mut judged: Vec<usize> = JUDGED.iter().map(|(index, _)| *index).collect();
    judged.sort_unstable();
    let all: Vec<usize> = (fact::CALL + 1..fact::ARGUMENTS).collect();
    assert_eq!(judged, all);
}

#[test]
fn every_wrong_argument_is_found() {
    let case = Case::new(Shape::Int2e);
    let expected = case.view(true).expected(1).expect("there is such a call");
    for argument in 0..9 {
        let mut dwords = right(&expected);
        dwords[fact::ARGUMENTS + argument] = 0x5E00_00E0;
        let seen = 0xA000_0100 + argument as u32;
        let found = Finding::dword(What::Argument(argument as u8), seen, 0x5E00_00E0);
        assert_eq!(findings(&dwords, &expected), [found]);
    }
}

#[test]
fn too_few_and_too_many_arguments_are_found() {
    let case = Case::new(Shape::Int2e);
    let expected = case.view(true).expected(1).expect("there is such a call");
    for count in [8, 10] {
        let mut dwords = right(&expected);
        dwords[fact::ARGUMENT_COUNT] = count;
        dwords.resize(fact::ARGUMENTS + count as usize, 0x5E00_00E0);
        assert_eq!(findings(&dwords, &expected), [Finding::dword(What::ArgumentCount, 9, count)]);
    }
}

#[test]
fn set_facts_are_judged() {
    let log = |shared| {
        let mut log = SetLog::default();
        log.shared = shared;
        log
    };
    let case = Case::new(Shape::SharedEdx);
    let good = SharedFacts { entry: 0x7C95_ED50, back: 0x7C95_ED54 };
    assert_eq!(judge_set(&log(Some(good)), &case.view(true)), []);
    let int = SharedFacts { entry: 0x7C95_ED60, back: 0 };
    assert_eq!(judge_set(&log(Some(int)), &case.view(false)), []);
    let found = [
        Finding::dword(What::SharedEntry, 0x7C95_ED50, 0x7C95_ED60),
        Finding::dword(What::SharedReturn, 0x7C95_ED54, 0),
    ];
    assert_eq!(judge_set(&log(Some(int)), &case.view(true)), found);
    assert_eq!(judge_set(&log(None), &case.view(true))[0].what, What::SetRuns);

    let case = Case::new(Shape::Sysenter);
    assert_eq!(judge_set(&log(None), &case.view(false)), []);
    assert_eq!(judge_set(&log(Some(int)), &case.view(false))[0].what, What::SetRuns);
}

#[test]
fn the_page_holds_code_for_the_shape_that_calls_it() {
    let case = Case::new(Shape::SharedCallEdx);
    // `mov edx,esp; sysenter` and the first dword of `lea edx,[esp+8]`
    assert_eq!(case.view(true).shared(), (0x340F_D48B, 0x7FFE_0304));
    assert_eq!(case.view(false).shared(), (0x0824_548D, 0x7FFE_0304));
}

#[test]
fn another_cpu_is_found() {
    let cpu = CpuFacts { cpuid: true, family: 6, model: 5, stepping: 2, sep: true, sysenter: true };
    assert_eq!(judge_cpu(Some(cpu), cpu), None);
    let found = judge_cpu(Some(CpuFacts { sysenter: false, ..cpu }), cpu).expect("it is another");
    assert_eq!(found.what, What::Cpu);
    assert_eq!(found.seen, Value::Text("family 6 model 5 stepping 2, SEP yes, SYSENTER no".to_owned()));
    assert!(judge_cpu(None, cpu).is_some());
}

/// What the manuals and NT's published layout say about a call of nine arguments, in numbers: the stack ends at
/// 130000h, 16 bytes of sentinels and 36 of arguments are on it.
#[test]
fn expected_values_are_those_of_the_system() {
    let arguments = 0x0013_0000 - 0x10 - 0x24;
    for (shape, sysenter, facts) in [
        (
            Shape::SharedEdx,
            true,
            // SYSENTER: the frame's EIP is SystemCallReturn, two return addresses are below the arguments.
            vec![
                (fact::NUMBER, 2),
                (fact::ENTRY, 2),
                (fact::ARG_POINTER, arguments),
                (fact::FRAME_EIP, 0x7C95_ED54),
                (fact::FRAME_ESP, arguments - 8),
                (fact::FRAME_EFLAGS, 0x2D7),
                (fact::FRAME_CS, 0x1B),
                (fact::ECX, arguments - 8),
                (fact::EDX, 0x7C95_ED54),
                (fact::ESP, 0x0012_FFF0),
            ],
        ),
        (
            Shape::SharedEdx,
            false,
            // KiIntSystemCall: the frame's EIP is behind CD 2E.
            vec![(fact::ENTRY, 1), (fact::ARG_POINTER, arguments), (fact::FRAME_EIP, 0x7C95_ED66)],
        ),
        (Shape::SharedCallEdx, false, vec![(fact::FRAME_EIP, 0x7FFE_0306), (fact::FRAME_ESP, arguments - 8)]),
        (Shape::SharedCallEdx, true, vec![(fact::FRAME_EIP, 0x7FFE_0304)]),
        // `mov eax`, `lea edx`, `int 2Eh`: 5 + 4 + 2 bytes; the set's second stub.
        (Shape::Int2e, true, vec![(fact::FRAME_EIP, 0x7C98_001B), (fact::FRAME_ESP, arguments - 4)]),
        (Shape::Int2eFrame, false, vec![(fact::FRAME_ESP, arguments - 8), (fact::ECX, 1), (fact::EDX, u32::MAX)]),
        (
            Shape::Zw,
            true,
            // The kernel harness's stack is within the frame's own; CS 8, no stack in the frame, mode 0 in the routine.
            vec![
                (fact::FRAME_CS, 8),
                (fact::FRAME_ESP, 0),
                (fact::PREVIOUS_MODE, 0),
                (fact::ECX, 8),
                (fact::CS_SS, 0x0010_0008),
            ],
        ),
    ] {
        let case = Case::new(shape);
        let expected = case.view(sysenter).expected(1).expect("there is such a call");
        for (index, value) in facts {
            assert_eq!(expected.facts[index], value, "{shape}, SYSENTER {sysenter}, fact {index}");
        }
        for (index, value) in [
            (fact::HANDLER, 1),
            (fact::EAX, 0x2000_0100),
            (fact::EBX, 0xB000_0001),
            (fact::COPIED, 36),
            (fact::AFTER_PREVIOUS_MODE, 1),
            (fact::FAULT_VECTOR, 0),
        ] {
            assert_eq!(expected.facts[index], value, "{shape}, SYSENTER {sysenter}, fact {index}");
        }
    }
    let base_frame = 0xF7A0_4000 - 0x210 - 0x8C;
    let case = Case::new(Shape::SharedEdx);
    let expected = case.view(true).expected(1).expect("there is such a call");
    assert_eq!(expected.facts[fact::FRAME], base_frame);
    assert_eq!(expected.facts[fact::AFTER_ESP0], base_frame + 0x7C);
}

#[test]
fn bad_calls_are_refused_as_nt_refuses_them() {
    let case = Case::new(Shape::SharedEdx);
    let view = case.view(false);
    let expected = |call| view.expected(call).expect("there is such a call").facts;
    assert_eq!(expected(PAST_END)[fact::NUMBER], 3);
    assert_eq!(expected(PAST_END)[fact::EAX], 0xC000_001C);
    for call in [KERNEL_POINTER, UNMAPPED_POINTER] {
        assert_eq!(expected(call)[fact::EAX], 0xC000_0005);
        assert_eq!(expected(call)[fact::HANDLER], u32::MAX);
        assert_eq!(expected(call)[fact::FAULT_VECTOR], 0);
    }
    // SYSEXIT gives the bad pointer back as ESP; the `ret` there faults in ring 3.
    let view = case.view(true);
    for (call, error) in [(KERNEL_POINTER, 5), (UNMAPPED_POINTER, 4)] {
        let facts = view.expected(call).expect("there is such a call").facts;
        assert_eq!((facts[fact::FAULT_VECTOR], facts[fact::FAULT_ERROR]), (0xF, error));
        assert_eq!(facts[fact::FAULT_EIP], 0x7C95_ED54);
        assert_eq!(facts[fact::FAULT_CR2], facts[fact::ARG_POINTER] - 8);
    }
    // The kernel may pass pointers to its own memory.
    let case = Case::new(Shape::Zw);
    let facts = case.view(true).expected(KERNEL_POINTER).expect("there is such a call").facts;
    assert_eq!((facts[fact::HANDLER], facts[fact::COPIED], facts[fact::EAX]), (1, 36, 0x2000_0100));
}
