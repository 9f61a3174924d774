//! The 32-bit guest.

use iced_x86::code_asm::{CodeAssembler, eax};
use ntgate_gen::{Arch, Shape, stub};

use super::system::{Abi, Guest, Image, Tables, Wanted};
use crate::nt::layout::{kpcr, port, trap_frame};
use crate::nt::{
    BuildError, Entry, Gui, Kernel, Plan, PlannedService, Profile, Ring, ServiceRoutine, Session, StubSet,
    SystemCallForm,
};

/// A row of a service table that no service has.
const NO_SERVICE: usize = usize::MAX;

pub(super) struct I386 {
    profile: &'static Profile,
    kernel: Kernel,
    plan: Plan,
}

impl I386 {
    pub(super) fn new(profile: &'static Profile, tables: &Tables<'_>) -> Result<Self, BuildError> {
        Ok(Self { profile, kernel: Kernel::new(profile)?, plan: plan(profile, tables) })
    }
}

impl Guest for I386 {
    fn abi(&self) -> Abi {
        let profile = self.profile;
        Abi {
            profile: profile.name,
            bits: 32,
            text: profile.user_text.into(),
            data: profile.user_data.into(),
            current_thread: (profile.kpcr + kpcr::CURRENT_THREAD).into(),
            previous_mode: profile.thread.previous_mode.into(),
            trap_frame: profile.thread.trap_frame.into(),
            mark: trap_frame::LOGGING.into(),
            entry,
            registers: &[],
            stack: 4,
            probe: profile.user_probe_address.into(),
        }
    }

    fn leave(&self, value: u32, args: u32) -> Result<Vec<u8>, BuildError> {
        let mut a = CodeAssembler::new(32)?;
        a.mov(eax, value)?;
        a.out(port::EXIT, eax)?;
        if args == 0 {
            a.ret()?
        } else {
            a.ret_1(4 * args)?
        }
        Ok(a.assemble(0)?)
    }

    fn routine_address(&self, index: usize) -> u64 {
        self.kernel.routine_address(index).into()
    }

    fn implements(&self, service: &str) -> bool {
        self.kernel.symbol(&format!("nt!{service}")).is_some()
    }

    fn image(&self, wanted: Wanted) -> Result<Image, BuildError> {
        let routine = |(service, code)| ServiceRoutine { service, code };
        let session = Session {
            program: wanted.program,
            routines: wanted.routines.into_iter().map(routine).collect(),
            gui: if self.plan.shadow_ssdt.is_empty() { Gui::None } else { Gui::Available },
            clock: wanted.clock,
            ..Session::default()
        };
        let image = self.kernel.session(&self.plan, &session)?;
        let names = self.plan.services.iter().map(|service| service.name.clone());
        let stubs = image.sets.first().map(|set| set.stub_addresses.as_slice()).unwrap_or_default();
        Ok(Image {
            stubs: names.zip(stubs.iter().copied().map(u64::from)).collect(),
            symbols: image.symbols.into_iter().map(|symbol| (symbol.name, symbol.address.into())).collect(),
            elf: image.elf,
        })
    }
}

/// The way in from ring 3 that a frame's mark tells of.
fn entry(mark: u8) -> Option<Entry> {
    match mark.into() {
        trap_frame::BY_SYSTEM_SERVICE => Some(Entry::Int2e),
        trap_frame::BY_FAST_CALL_ENTRY => Some(Entry::Sysenter),
        _ => None,
    }
}

/// The stubs of ntdll, then the kernel's own.
fn plan(profile: &Profile, tables: &Tables<'_>) -> Plan {
    let mut plan = Plan::default();
    for table in &tables.tables {
        let (mut ssdt, mut sspt) = (Vec::new(), Vec::new());
        for row in table.rows() {
            let args_bytes = row.map_or(0, |service| service.arg_bytes(Arch::I386));
            ssdt.push(row.map_or(NO_SERVICE, |_| plan.services.len()));
            sspt.push(u8::try_from(args_bytes).unwrap_or(u8::MAX));
            plan.services
                .extend(row.map(|service| PlannedService { name: service.name().nt().to_owned(), args_bytes }));
        }
        if table.base() == 0 {
            (plan.ssdt, plan.sspt) = (ssdt, sspt);
        } else {
            (plan.shadow_ssdt, plan.shadow_sspt) = (ssdt, sspt);
        }
    }
    let ntdll = Shape::from_name(Arch::I386, profile.ntdll_set).ok().or(profile.shapes.first().copied());
    for shape in ntdll.into_iter().chain([Shape::Zw]) {
        let all = tables.tables.iter().flat_map(|table| table.rows()).flatten();
        plan.sets.push(StubSet {
            label: shape.name().to_owned(),
            // A session goes by the profile.
            form: SystemCallForm::Unused,
            ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
            needs_sysenter: shape == Shape::Sysenter,
            stubs: all.map(|service| stub::build(shape, service, shape.default_encoding())).collect(),
            past_end: None,
            refusals: false,
        });
    }
    plan
}
