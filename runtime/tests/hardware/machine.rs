//! The bundled machine, put into a case's state.

use std::sync::OnceLock;

use ntgate_runtime::machine::cpuid::Model;
use ntgate_runtime::machine::{Exit, Machine, Register};

use super::case::{CODE, Case, DATA, DATA_SIZE, FLAGS, Outcome, STACK, STACK_SIZE, State};

const MEMORY: usize = 0x1_0000;
/// Loads EFLAGS and ESP and jumps to the instruction.
const START: u32 = 0x1000;
/// The EFLAGS to load.
const IMAGE: u32 = 0x2000;
/// Takes the place of the host's breakpoints.
const HLT: u8 = 0xF4;
/// EFLAGS: bit 1 and IF.
const ALWAYS: u32 = 0x202;

const ORDER: [Register; 8] = [
    Register::Eax,
    Register::Ecx,
    Register::Edx,
    Register::Ebx,
    Register::Esp,
    Register::Ebp,
    Register::Esi,
    Register::Edi,
];

fn word(value: u32) -> [u8; 4] {
    value.to_le_bytes()
}

/// Memory of the case from `START` on.
fn image(case: &Case) -> Vec<u8> {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    let empty = EMPTY.get_or_init(|| {
        let mut bytes = vec![0; MEMORY - START as usize];
        bytes[(CODE.start - START) as usize..(CODE.end - START) as usize].fill(HLT);
        bytes
    });
    let mut bytes = empty.clone();
    let mut put = |at: u32, from: &[u8]| {
        let at = (at - START) as usize;
        bytes[at..at + from.len()].copy_from_slice(from);
    };
    // popfd; mov esp, imm32; jmp rel32
    put(START, &[0x9D, 0xBC]);
    put(START + 2, &word(case.before.registers[4]));
    put(START + 6, &[0xE9]);
    put(START + 7, &word(case.code_at.wrapping_sub(START + 11)));
    put(IMAGE, &word(case.before.flags | ALWAYS));
    put(case.code_at, &case.code);
    put(DATA, &case.before.data);
    put(STACK, &case.before.stack);
    bytes
}

/// Runs the case. An error says what the machine did that no processor would.
pub(crate) fn run(case: &Case) -> Result<Outcome, String> {
    static MODEL: OnceLock<&'static Model> = OnceLock::new();
    let model = MODEL.get_or_init(|| Model::by_name("core2").expect("the model is built in"));
    let mut machine = Machine::flat(model, MEMORY, START, &image(case));
    for (register, &value) in ORDER.into_iter().zip(&case.before.registers) {
        machine.set_register(register, value);
    }
    machine.set_register(Register::Esp, IMAGE);
    let (faulted, eip) = match machine.run(100_000) {
        Exit::Halted => (false, machine.eip()),
        Exit::TripleFault { address } => (true, address as u32),
        other => return Err(format!("{other}")),
    };
    let mut after = State::zero();
    after.registers = ORDER.map(|register| machine.register(register));
    after.flags = machine.flags().get() & FLAGS;
    after.data.copy_from_slice(machine.read_physical(u64::from(DATA), DATA_SIZE).ok_or("no window")?);
    after.stack.copy_from_slice(machine.read_physical(u64::from(STACK), STACK_SIZE).ok_or("no window")?);
    Ok(Outcome { after, went: eip.wrapping_sub(case.code_at) as i32, faulted })
}
