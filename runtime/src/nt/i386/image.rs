//! Everything at its place: service routines, tables, stubs, the harness's work, and the file.

use std::collections::BTreeMap;

use iced_x86::code_asm::{CodeAssembler, eax};
use ntgate_gen::model::limits;

use super::assembly::{Assembled, KernelAsm, Routine};
use super::block::Block;
use super::data::kernel;
use super::descriptors::{GDT_SIZE, IDT_SIZE};
use super::layout::{PAGE, service_table};
use super::memory::{Access, MULTIBOOT_HEADER, Region, elf_image, page_tables};
use super::paging::TWO_LEVELS;
use super::profile::Profile;
use super::record::{self, KERNEL_POINTER};
use super::start::{CallTable, Starts};
use super::stubs::GAP;
use super::system;
use super::user::UserCode;
use super::{
    BuildError, Gui, Image, Plan, Session, SetLayout, Symbol, apc, boot, bugcheck, callback, clock, context, debug,
    dispatch, exception, expected, gui, recovery, report, services, sets, symbols, traps, user_copy,
};

/// Sets an image can hold. A record could number more; their tables and stubs would crowd the address space.
const MAX_SETS: usize = 0x1000;

/// What the argument table's byte can hold, in whole dwords.
const MAX_ARGUMENT_BYTES: u32 = 4 * limits::ARGS_I386 as u32;

/// The assembled guest of a profile, good for any number of plans.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(super) profile: Profile,
    pub(super) user: UserCode,
    code: Assembled,
    boot: Vec<u8>,
    regions: Vec<Region>,
}

impl Kernel {
    /// Assembles the guest.
    ///
    /// # Errors
    ///
    /// When the profile's addresses contradict each other.
    pub fn new(profile: &Profile) -> Result<Self, BuildError> {
        check_profile(profile)?;
        let user = UserCode::assemble(profile)?;
        // Some instructions have a routine's address as operand, so a first pass finds the addresses.
        let first = assemble(profile, &user, &BTreeMap::new())?;
        let code = assemble(profile, &user, &first.addresses)?;
        let startup = code.address(Routine::KiSystemStartup) as u32;
        let mut boot: Vec<u8> = MULTIBOOT_HEADER.iter().flat_map(|dword| dword.to_le_bytes()).collect();
        boot.extend(boot::boot_code(profile, page_tables(profile.boot_physical), startup)?);
        let regions = system::regions(profile, &code, &user)?;
        Ok(Self { profile: profile.clone(), user, code, boot, regions })
    }

    /// The image of a plan.
    ///
    /// # Errors
    ///
    /// When the plan contradicts itself or does not fit the profile.
    pub fn image(&self, plan: &Plan) -> Result<Image, BuildError> {
        let mut image = self.build(plan, None)?;
        image.set_start(plan.start)?;
        Ok(image)
    }

    /// The image of a proof, or of a session.
    pub(super) fn build(&self, plan: &Plan, session: Option<&Session>) -> Result<Image, BuildError> {
        check(plan)?;
        let mut builder = Builder::new(self);
        let services = builder.services(plan, session)?;
        builder.service_tables(plan, &services)?;
        if session.is_none_or(|session| session.gui == Gui::Available) {
            builder.shadow_table(plan, &services, session.is_none());
        }
        for (index, set) in plan.sets.iter().enumerate() {
            builder.stubs(index, set)?;
        }
        match session {
            None => builder.call_tables(plan)?,
            Some(session) => builder.session(plan, session)?,
        }
        builder.finish()
    }

    /// The kernel's code.
    pub(super) fn code(&self) -> &Assembled {
        &self.code
    }

    /// Address of a routine.
    pub(super) fn address(&self, routine: Routine) -> u32 {
        self.code.address(routine) as u32
    }
}

/// The distances that the builder computes with. That pages do not overlap is checked when all are known.
fn check_profile(profile: &Profile) -> Result<(), BuildError> {
    let stack = |end: u32, pages: u32| end.wrapping_sub(pages.wrapping_mul(PAGE));
    for (low, low_address, least, high, high_address) in [
        ("gdt", profile.gdt, GDT_SIZE, "idt", profile.idt),
        ("idt", profile.idt, IDT_SIZE, "end of the gdt's page", profile.gdt.saturating_add(PAGE)),
        ("kernel_text", profile.kernel_text, PAGE, "kernel_services", profile.kernel_services),
        (
            "stack in ring 0",
            stack(profile.initial_stack, profile.kernel_stack_pages),
            PAGE,
            "initial_stack",
            profile.initial_stack,
        ),
        (
            "stack in ring 3",
            stack(profile.user_stack, profile.user_stack_pages),
            PAGE,
            "user_stack",
            profile.user_stack,
        ),
        ("dpc_stack", PAGE, 0, "its page", profile.dpc_stack),
        ("fault_stack", PAGE, 0, "its page", profile.fault_stack),
        ("user_tables", profile.user_tables, PAGE, "ntdll_stubs", profile.ntdll_stubs),
        ("ntdll_stubs", profile.ntdll_stubs, 0, "fast_system_call", profile.fast_system_call),
        ("fast_system_call", profile.fast_system_call, 5, "int_system_call", profile.int_system_call),
        ("int_system_call", profile.int_system_call, PAGE, "other_stubs", profile.other_stubs),
        (
            "fast_system_call",
            profile.int_system_call,
            0,
            "end of its page",
            profile.fast_system_call.saturating_add(PAGE),
        ),
    ] {
        if high_address.checked_sub(low_address).is_none_or(|distance| distance < least) {
            return Err(BuildError::Order { low, high });
        }
    }
    Ok(())
}

/// One pass over the kernel's code.
fn assemble(profile: &Profile, user: &UserCode, known: &BTreeMap<Routine, u64>) -> Result<Assembled, BuildError> {
    let mut k = KernelAsm::new(profile, user, known)?;
    boot::emit(&mut k)?;
    dispatch::emit(&mut k)?;
    traps::emit(&mut k)?;
    expected::emit(&mut k)?;
    recovery::emit(&mut k)?;
    exception::emit(&mut k)?;
    context::emit(&mut k)?;
    user_copy::emit(&mut k)?;
    debug::emit(&mut k)?;
    services::emit(&mut k)?;
    apc::emit(&mut k)?;
    callback::emit(&mut k)?;
    gui::emit(&mut k)?;
    clock::emit(&mut k)?;
    bugcheck::emit(&mut k)?;
    report::emit(&mut k)?;
    sets::emit(&mut k)?;
    Ok(k.finish()?)
}

/// What can be said about a plan before anything is built.
fn check(plan: &Plan) -> Result<(), BuildError> {
    let max = service_table::MAX_SERVICES;
    let tables = if plan.shadow_ssdt.is_empty() { 1 } else { 2 };
    let services = plan.services.len().div_ceil(tables);
    let count = services.max(plan.ssdt.len()).max(plan.shadow_ssdt.len());
    if count > max {
        return Err(BuildError::TooManyServices { count, max });
    }
    for (ssdt, sspt) in [(&plan.ssdt, &plan.sspt), (&plan.shadow_ssdt, &plan.shadow_sspt)] {
        if ssdt.len() != sspt.len() {
            return Err(BuildError::TablesDiffer { ssdt: ssdt.len(), sspt: sspt.len() });
        }
    }
    if plan.sets.len() > MAX_SETS {
        return Err(BuildError::TooManySets { count: plan.sets.len(), max: MAX_SETS });
    }
    if let Some(set) = plan.sets.iter().position(|set| set.stubs.len() > plan.services.len()) {
        return Err(BuildError::TooManyStubs { set });
    }
    if let Some(service) = plan.services.iter().position(|service| service.args_bytes > MAX_ARGUMENT_BYTES) {
        return Err(BuildError::TooManyArguments { service });
    }
    Ok(())
}

/// An image in the making.
pub(crate) struct Builder<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) regions: Vec<Region>,
    pub(super) symbols: Vec<Symbol>,
    pub(super) data: Vec<u8>,
    pub(super) sets: Vec<SetLayout>,
    pub(super) tables: Vec<CallTable>,
    /// ntdll: from the page of its first stub to the end of KiIntSystemCall.
    pub(super) ntdll: Region,
    pub(super) ntdll_taken: bool,
    pub(super) next_user_stub: u32,
    pub(super) next_kernel_stub: u32,
}

impl<'k> Builder<'k> {
    fn new(kernel: &'k Kernel) -> Self {
        let profile = &kernel.profile;
        let start = profile.ntdll_stubs & !(PAGE - 1);
        let mut ntdll = vec![GAP; (profile.fast_system_call - start) as usize];
        ntdll.extend_from_slice(&kernel.user.ntdll);
        Self {
            kernel,
            regions: kernel.regions.clone(),
            symbols: symbols::fixed(&kernel.profile, &kernel.code, &kernel.user),
            data: Vec::new(),
            sets: Vec::new(),
            tables: Vec::new(),
            ntdll: Region::new(start, ntdll, 0, Access::User),
            ntdll_taken: false,
            next_user_stub: profile.other_stubs,
            next_kernel_stub: profile.kernel_stubs,
        }
    }

    /// One routine for each service; gives their addresses.
    fn services(&mut self, plan: &Plan, session: Option<&Session>) -> Result<Vec<u32>, BuildError> {
        let base = self.kernel.profile.kernel_services;
        // In a proof a service records its call.
        let body = if session.is_some() { Routine::NtgateUnusedService } else { Routine::NtgateService };
        let record = u64::from(self.kernel.address(body));
        let mut a = CodeAssembler::new(32)?;
        let mut addresses = Vec::with_capacity(plan.services.len());
        let mut address = base;
        for (index, service) in plan.services.iter().enumerate() {
            if let Some(own) = session.and_then(|session| self.session_service(session, &service.name)) {
                addresses.push(own);
                continue;
            }
            a.mov(eax, index as u32)?;
            a.call(record)?;
            // `mov` and `call` have five bytes each, `ret n` three, `ret` one.
            if service.args_bytes == 0 {
                a.ret()?;
            } else {
                a.ret_1(service.args_bytes)?;
            }
            addresses.push(address);
            self.symbols.push(Symbol { name: format!("nt!{}", service.name), address });
            address += if service.args_bytes == 0 { 11 } else { 13 };
        }
        let code = a.assemble(u64::from(base))?;
        debug_assert_eq!(code.len() as u32, address - base);
        if !code.is_empty() {
            self.regions.push(Region::new(base, code, 0, Access::Kernel));
        }
        Ok(addresses)
    }

    /// KiServiceTable, KiArgumentTable and their descriptor, in the kernel's data.
    fn service_tables(&mut self, plan: &Plan, services: &[u32]) -> Result<(), BuildError> {
        let base = self.kernel.profile.kernel_data;
        let unused = self.kernel.address(Routine::NtgateUnusedService);
        let mut block = system::kernel_data(&self.kernel.profile, &self.kernel.code, &self.kernel.user)?;
        for table in [kernel::DESCRIPTOR_TABLE, kernel::DESCRIPTOR_TABLE_SHADOW] {
            block.dword(table + service_table::BASE, base + kernel::SERVICE_TABLE);
            block.dword(table + service_table::LIMIT, plan.ssdt.len() as u32);
            block.dword(table + service_table::NUMBER, base + kernel::ARGUMENT_TABLE);
        }
        self.data = block.finish();
        for service in &plan.ssdt {
            let address = services.get(*service).copied().unwrap_or(unused);
            self.data.extend_from_slice(&address.to_le_bytes());
        }
        self.data.resize(kernel::ARGUMENT_TABLE as usize, 0);
        self.data.extend_from_slice(&plan.sspt);
        self.data.resize(kernel::ARGUMENTS as usize, 0);
        // Arguments in kernel space for the refusals.
        for index in 0..plan.sets.len() as u32 {
            let first = record::first_argument(index, KERNEL_POINTER);
            for k in 0..kernel::ARGUMENT_BLOCK / 4 {
                self.data.extend_from_slice(&first.wrapping_add(k).to_le_bytes());
            }
        }
        Ok(())
    }

    /// W32pServiceTable with the byte table behind it, W32pArgumentTable, and for a proof (`from_start`) a thread that is a
    /// GUI thread from the start. Without such services nothing changes.
    fn shadow_table(&mut self, plan: &Plan, services: &[u32], from_start: bool) {
        if plan.shadow_ssdt.is_empty() {
            return;
        }
        let profile = &self.kernel.profile;
        let unused = self.kernel.address(Routine::NtgateUnusedService);
        let table = profile.kernel_data + self.data.len() as u32;
        for service in &plan.shadow_ssdt {
            let address = services.get(*service).copied().unwrap_or(unused);
            self.data.extend_from_slice(&address.to_le_bytes());
        }
        self.data.extend_from_slice(&[1; service_table::MAX_SERVICES]);
        let arguments = profile.kernel_data + self.data.len() as u32;
        self.data.extend_from_slice(&plan.shadow_sspt);
        let shadow = kernel::DESCRIPTOR_TABLE_SHADOW;
        let mut block = Block::from(std::mem::take(&mut self.data));
        block.dword(shadow + service_table::TEST + service_table::BASE, table);
        block.dword(shadow + service_table::TEST + service_table::LIMIT, plan.shadow_ssdt.len() as u32);
        block.dword(shadow + service_table::TEST + service_table::NUMBER, arguments);
        if from_start {
            block.dword(kernel::THREAD + profile.thread.service_table, profile.kernel_data + shadow);
        }
        self.data = block.finish();
        for symbol in &mut self.symbols {
            if symbol.name == "nt!W32pServiceTable" {
                symbol.address = table;
            }
        }
        self.symbols.push(Symbol { name: "nt!W32pArgumentTable".to_owned(), address: arguments });
    }

    fn finish(mut self) -> Result<Image, BuildError> {
        let profile = &self.kernel.profile;
        self.regions.push(self.ntdll);
        self.regions.push(Region::new(profile.kernel_data, self.data, 0, Access::KernelWrite));
        let boot = self.kernel.boot.clone();
        let elf = elf_image(boot, profile.boot_physical, boot::entry(profile), TWO_LEVELS, &self.regions)?;
        self.symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Ok(Image {
            elf,
            symbols: self.symbols,
            sets: self.sets,
            starts: Starts { variable: profile.kernel_data + kernel::SETS, tables: self.tables },
        })
    }
}
