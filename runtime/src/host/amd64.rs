//! The 64-bit guest.

use iced_x86::code_asm::{CodeAssembler, eax};
use ntgate_gen::{Arch, Service, Shape, stub};

use super::system::{Abi, Guest, Image, Tables, Wanted};
use crate::nt::amd64::layout::{HOME_AREA, kpcr, port, trap_frame};
use crate::nt::amd64::{
    Kernel, Plan, PlannedService, Profile, Row, ServiceRoutine, Session, StubSet, SystemCall, TableForm,
};
use crate::nt::{BuildError, Entry, Gui, Ring};

/// RCX, RDX, R8 and R9.
const REGISTERS: [u8; 4] = [1, 2, 8, 9];

pub(super) struct Amd64 {
    profile: &'static Profile,
    kernel: Kernel,
    plan: Plan,
}

impl Amd64 {
    pub(super) fn new(profile: &'static Profile, tables: &Tables<'_>) -> Result<Self, BuildError> {
        Ok(Self { profile, kernel: Kernel::new(profile)?, plan: plan(profile, tables) })
    }
}

impl Guest for Amd64 {
    fn abi(&self) -> Abi {
        let profile = self.profile;
        Abi {
            profile: profile.name,
            bits: 64,
            text: profile.user_text,
            data: profile.user_data,
            current_thread: profile.kpcr + u64::from(kpcr::CURRENT_THREAD),
            previous_mode: profile.thread.previous_mode.into(),
            trap_frame: profile.thread.trap_frame.into(),
            mark: trap_frame::LOGGING.into(),
            entry,
            registers: &REGISTERS,
            // The return address, and the area that the convention has for the registers.
            stack: u64::from(8 + HOME_AREA),
            probe: profile.user_probe_address,
        }
    }

    fn leave(&self, value: u32, _: u32) -> Result<Vec<u8>, BuildError> {
        let mut a = CodeAssembler::new(64)?;
        a.mov(eax, value)?;
        a.out(port::EXIT, eax)?;
        a.ret()?;
        Ok(a.assemble(0)?)
    }

    fn routine_address(&self, index: usize) -> u64 {
        self.kernel.routine_address(index)
    }

    fn implements(&self, service: &str) -> bool {
        self.kernel.symbol(&format!("nt!{service}")).is_some()
    }

    fn image(&self, wanted: Wanted) -> Result<Image, BuildError> {
        let routine = |(service, code)| ServiceRoutine { service, code };
        let session = Session {
            program: wanted.program,
            routines: wanted.routines.into_iter().map(routine).collect(),
            gui: if self.plan.tables.len() < 2 { Gui::None } else { Gui::Available },
            clock: wanted.clock,
            ..Session::default()
        };
        let image = self.kernel.session(&self.plan, &session)?;
        let names = self.plan.services.iter().map(|service| service.name.clone());
        let stubs = image.sets.first().map(|set| set.stub_addresses.as_slice()).unwrap_or_default();
        Ok(Image {
            stubs: names.zip(stubs.iter().copied()).collect(),
            symbols: image.symbols.into_iter().map(|symbol| (symbol.name, symbol.address)).collect(),
            elf: image.elf,
        })
    }
}

/// The way in from ring 3 that a frame's mark tells of.
fn entry(mark: u8) -> Option<Entry> {
    match mark.into() {
        trap_frame::BY_SYSTEM_CALL | trap_frame::BY_SYSTEM_CALL_ENTRY => Some(Entry::Syscall),
        trap_frame::BY_SYSTEM_SERVICE => Some(Entry::Int2e),
        _ => None,
    }
}

/// The stubs of ntdll, then the kernel's own.
fn plan(profile: &Profile, tables: &Tables<'_>) -> Plan {
    let args = |service: &Service| u32::from(service.args(Arch::Amd64));
    let mut plan = Plan::default();
    for table in &tables.tables {
        let mut rows = Vec::new();
        for row in table.rows() {
            rows.push(row.map_or_else(Row::unused, |service| Row::new(plan.services.len(), args(service))));
            let planned =
                row.map(|service| PlannedService { name: service.name().nt().to_owned(), args: args(service) });
            plan.services.extend(planned);
        }
        plan.tables.push(rows);
    }
    let ntdll = Shape::from_name(Arch::Amd64, profile.ntdll_set).ok().or(profile.shapes.first().copied());
    let kernel = if ntdll == Some(Shape::SyscallReactos) { Shape::ZwReactos } else { Shape::ZwAmd64 };
    for shape in ntdll.into_iter().chain([kernel]) {
        let all = tables.tables.iter().flat_map(|table| table.rows()).flatten();
        plan.sets.push(StubSet {
            label: shape.name().to_owned(),
            ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
            tables: if shape == Shape::SyscallReactos { TableForm::Pointers } else { TableForm::Packed },
            system_call: SystemCall::Syscall,
            callback: false,
            stubs: all.map(|service| stub::build(shape, service, shape.default_encoding())).collect(),
            past_end: None,
            refusals: false,
        });
    }
    plan
}
