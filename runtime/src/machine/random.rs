//! Whatever bytes are executed, in whatever tables: the machine ends the run, in its budget, and does not panic.

use proptest::prelude::*;

use super::cpuid::MODELS;
use super::fault::Exit;
use super::machine::Register;
use super::testing::*;

const BUDGET: u64 = 2_000;
/// How far a block, or a portion of a repeated string instruction, may go beyond the budget.
const MORE: u64 = 10_000;
const REGISTERS: [Register; 8] = [
    Register::Eax,
    Register::Ecx,
    Register::Edx,
    Register::Ebx,
    Register::Esp,
    Register::Ebp,
    Register::Esi,
    Register::Edi,
];

/// Bytes that begin system instructions, more often than chance would have them.
fn code() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => any::<u8>(),
        3 => prop::sample::select(&b"\x0F\x8E\x8C\xCD\xCF\xCB\xCA\xEA\x9A\xFF\x9C\x9D\xF4\x1F\x07\x17\xC4\xC5\x66\x67\xF3\x6E\x6C\xE6\xEE"[..]),
        2 => prop::sample::select(&b"\x00\x01\x02\x03\x06\x20\x21\x22\x23\x30\x32\x34\x35\xA2\xB2\xB4\xB5"[..]),
    ];
    prop::collection::vec(byte, 1..80)
}

/// A value that is a selector, an address in the world, or anything.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..0x80, 0u32..0x4_0000, Just(0x174), Just(0xE9), any::<u32>()]
}

/// Dwords of the tables, the TSSs and the page table, written over.
fn changes() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let at = prop_oneof![
        GDT..GDT + 0x80,
        IDT..IDT + 0x800,
        TSS..TSS + 0x70,
        OTHER_TSS..OTHER_TSS + 0x70,
        0x1_0000u32..0x1_1100
    ];
    prop::collection::vec((at.prop_map(|at| at & !3), value()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_code_in_any_tables_ends(
        code in code(),
        ring in prop::sample::select(vec![0u8, 1, 3]),
        model in 0..MODELS.len(),
        paging in any::<bool>(),
        flags in value(),
        values in prop::array::uniform8(value()),
        changes in changes(),
    ) {
        let mut world = World::of(&MODELS[model]);
        world.ring(ring);
        if paging {
            world.page(STACK_3 - 0x1000);
        }
        for (register, value) in REGISTERS.into_iter().zip(values) {
            world.machine.set_register(register, value);
        }
        let mask = world.core().loadable_flags();
        world.core().flags.set(flags & mask);
        for (at, value) in changes {
            world.poke32(at, value);
        }
        world.poke(CODE, &code);
        let before = world.machine.retired();
        let exit = world.machine.run(BUDGET);
        let ran = world.machine.retired() - before;
        prop_assert!(ran <= BUDGET + MORE, "{exit:?} after {ran}");
        prop_assert!(exit != Exit::Budget || ran >= BUDGET);
    }
}
