//! Everything at its place: service routines, tables, stubs, the harness's work, and the file.

use std::collections::BTreeMap;

use iced_x86::code_asm::{CodeAssembler, eax};
use ntgate_gen::table::packed_entry;

use super::assembly::{Assembled, KernelAsm, Routine};
use super::block::Block;
use super::data::{head, kernel};
use super::layout::{COPY_RUN, PAGE, service_table};
use super::memory::{Access, Region, elf_image, page_tables};
use super::paging::FOUR_LEVELS;
use super::profile::Profile;
use super::record::{self, KERNEL_POINTER};
use super::start::{CallTable, Starts};
use super::user::UserCode;
use super::{
    BuildError, Gui, Image, Plan, Row, Session, SetLayout, Symbol, apc, boot, bugcheck, callback, clock, context,
    debug, dispatch, entry, exception, exit, gui, print, reactos, recovery, report, services, sets, shared_page,
    symbols, system, traps, user_copy,
};

/// Sets an image can hold. A record could number more; their tables and stubs would crowd the address space.
const MAX_SETS: usize = 0x1000;

/// Distance of the service routines from each other.
const SERVICE_STRIDE: usize = 0x10;

/// Tables: the kernel's and win32k's.
const MAX_TABLES: usize = 2;

/// The assembled guest of a profile, good for any number of plans.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(super) profile: Profile,
    pub(super) user: UserCode,
    pub(super) code: Assembled,
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
        let tables = page_tables(profile.boot_physical);
        let boot = boot::boot_page(profile, tables, code.address(Routine::KiSystemStartup))?;
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
        builder.services(plan, session)?;
        builder.service_tables(plan, session.is_none_or(|session| session.gui == Gui::Available))?;
        for (index, set) in plan.sets.iter().enumerate() {
            builder.stubs(index, set)?;
        }
        match session {
            None => builder.call_tables(plan)?,
            Some(session) => builder.session(plan, session)?,
        }
        builder.finish()
    }
}

/// The distances that the builder computes with. That pages do not overlap is checked when all are known.
fn check_profile(profile: &Profile) -> Result<(), BuildError> {
    let page = u64::from(PAGE);
    let behind = |address: u64, distance: u64| address.saturating_add(distance);
    for (low, low_address, high, high_address) in [
        ("stack in ring 0", page * u64::from(profile.kernel_stack_pages), "initial_stack", profile.initial_stack),
        ("stack in ring 3", page * u64::from(profile.user_stack_pages), "user_stack", profile.user_stack),
        ("interrupt stacks", 8 * page, "interrupt_stacks", profile.interrupt_stacks),
        ("tss", profile.tss, "64 KB behind the gdt", behind(profile.gdt, 0x1_0000)),
        ("gdt", behind(profile.gdt, u64::from(super::descriptors::GDT_SIZE)), "idt", profile.idt),
        ("idt", behind(profile.idt, u64::from(super::descriptors::IDT_SIZE)), "tss", profile.tss),
        ("kernel_text", behind(profile.kernel_text, page), "kernel_services", profile.kernel_services),
        ("kernel_services", behind(profile.kernel_services, page), "kernel_data", profile.kernel_data),
        ("kernel_data", behind(profile.kernel_data, page), "kernel_stubs", profile.kernel_stubs),
        ("kernel_stubs", profile.kernel_stubs, "2 GB behind kernel_text", behind(profile.kernel_text, 0x7000_0000)),
        ("user_data", behind(profile.user_data, page), "user_tables", profile.user_tables),
        ("user_tables", behind(profile.user_tables, page), "shared_user", profile.shared_user),
        ("shared_user", profile.shared_user, "2 GB", 0x8000_0000),
        ("ntdll_stubs", behind(profile.ntdll_stubs, page), "ntdll_dispatchers", profile.ntdll_dispatchers),
        ("ntdll_dispatchers", profile.ntdll_dispatchers, "other_stubs", profile.other_stubs),
        ("stack of a GUI thread", page * u64::from(profile.gui_stack_pages), "gui_stack", profile.gui_stack),
        ("other_stubs", profile.other_stubs, "user_probe_address", profile.user_probe_address),
    ] {
        if low_address > high_address {
            return Err(BuildError::Order { low, high });
        }
    }
    Ok(())
}

/// One pass over the kernel's code.
fn assemble(profile: &Profile, user: &UserCode, known: &BTreeMap<Routine, u64>) -> Result<Assembled, BuildError> {
    let mut k = KernelAsm::new(profile, user, known)?;
    boot::emit(&mut k)?;
    entry::emit(&mut k)?;
    dispatch::emit(&mut k)?;
    exit::emit(&mut k)?;
    reactos::emit(&mut k)?;
    traps::emit(&mut k)?;
    report::emit(&mut k)?;
    print::emit(&mut k)?;
    sets::emit(&mut k)?;
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
    shared_page::emit(&mut k)?;
    bugcheck::emit(&mut k)?;
    Ok(k.finish()?)
}

/// What can be said about a plan before anything is built.
fn check(plan: &Plan) -> Result<(), BuildError> {
    let max = service_table::MAX_SERVICES;
    let services = plan.services.len().div_ceil(MAX_TABLES);
    let count = plan.tables.iter().map(Vec::len).max().unwrap_or(0).max(services);
    if count > max {
        return Err(BuildError::TooManyServices { count, max });
    }
    if plan.tables.len() > MAX_TABLES {
        return Err(BuildError::TooManyTables { count: plan.tables.len(), max: MAX_TABLES });
    }
    if plan.sets.len() > MAX_SETS {
        return Err(BuildError::TooManySets { count: plan.sets.len(), max: MAX_SETS });
    }
    if let Some(set) = plan.sets.iter().position(|set| set.stubs.len() > plan.services.len()) {
        return Err(BuildError::TooManyStubs { set });
    }
    let max = COPY_RUN as u32;
    let many = |service: &super::PlannedService| record::stack_arguments(service.args) > max;
    if let Some(service) = plan.services.iter().position(many) {
        return Err(BuildError::TooManyStackArguments { service, max });
    }
    let wrong = |row: &&Row| row.stack_arguments > max || row.argument_bytes / 8 > max as u8 + 4;
    if let Some(row) = plan.tables.iter().flatten().find(wrong) {
        return Err(BuildError::TooManyStackArguments { service: row.service, max });
    }
    Ok(())
}

/// An image in the making.
pub(crate) struct Builder<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) regions: Vec<Region>,
    pub(super) symbols: Vec<Symbol<u64>>,
    pub(super) data: Vec<u8>,
    pub(super) sets: Vec<SetLayout>,
    pub(super) tables: Vec<CallTable>,
    /// Address of the routine of each service, in the plan's order.
    pub(super) services: Vec<u64>,
    /// The same by name.
    pub(super) by_name: BTreeMap<String, u64>,
    pub(super) ntdll_taken: bool,
    pub(super) next_user_stub: u64,
    pub(super) next_kernel_stub: u64,
}

impl<'k> Builder<'k> {
    fn new(kernel: &'k Kernel) -> Self {
        Self {
            kernel,
            regions: kernel.regions.clone(),
            symbols: symbols::fixed(&kernel.profile, &kernel.code, &kernel.user),
            data: Vec::new(),
            sets: Vec::new(),
            tables: Vec::new(),
            services: Vec::new(),
            by_name: BTreeMap::new(),
            ntdll_taken: false,
            next_user_stub: kernel.profile.other_stubs,
            next_kernel_stub: kernel.profile.kernel_stubs,
        }
    }

    /// One routine for each service, and one more at either end.
    fn services(&mut self, plan: &Plan, session: Option<&Session>) -> Result<(), BuildError> {
        let base = self.kernel.profile.kernel_services;
        // In a proof a service records its call.
        let body = if session.is_some() { Routine::NtgateUnusedService } else { Routine::NtgateService };
        let record = self.kernel.code.address(body);
        let unused = self.kernel.code.address(Routine::NtgateUnusedService);
        let room = self.kernel.profile.kernel_data - base;
        if ((plan.services.len() + 2) * SERVICE_STRIDE) as u64 > room {
            return Err(BuildError::DoesNotFit { what: "service routines" });
        }
        let mut code = Vec::with_capacity((plan.services.len() + 2) * SERVICE_STRIDE);
        for slot in 0..plan.services.len() + 2 {
            let address = base + code.len() as u64;
            let mut a = CodeAssembler::new(64)?;
            match slot.checked_sub(1).and_then(|index| Some((index, plan.services.get(index)?))) {
                Some((index, service)) => {
                    a.mov(eax, index as u32)?;
                    a.call(record)?;
                    a.ret()?;
                    let own = session.and_then(|session| self.session_service(session, &service.name));
                    let target = own.unwrap_or(address);
                    self.services.push(target);
                    self.by_name.insert(service.name.clone(), target);
                    if own.is_none() {
                        self.symbols.push(Symbol { name: format!("nt!{}", service.name), address });
                    }
                }
                None => a.jmp(unused)?,
            }
            code.extend(a.assemble(address)?);
            code.resize(code.len().next_multiple_of(SERVICE_STRIDE), super::stubs::GAP);
        }
        self.regions.push(Region::new(base, code, 0, Access::Kernel));
        Ok(())
    }

    /// The service tables in both forms, their argument tables and descriptors, in the kernel's data.
    /// `win32k`: GUI threads have the second.
    fn service_tables(&mut self, plan: &Plan, win32k: bool) -> Result<(), BuildError> {
        let base = self.kernel.profile.kernel_data;
        let unused = self.kernel.code.address(Routine::NtgateUnusedService);
        let mut block = system::kernel_data(&self.kernel.profile, &self.kernel.code)?;
        let mut rest = Block::new(kernel::ARGUMENTS - kernel::END);
        let tables = &plan.tables[..plan.tables.len().min(if win32k { MAX_TABLES } else { 1 })];
        for (index, rows) in tables.iter().enumerate() {
            let (packed, pointers) = (kernel::PACKED_TABLES[index], kernel::POINTER_TABLES[index]);
            let arguments = kernel::ARGUMENT_TABLES[index];
            for (number, row) in rows.iter().enumerate() {
                let number = number as u32;
                let routine = self.services.get(row.service).copied().unwrap_or(unused);
                let routine = routine.wrapping_add_signed(row.displacement.into());
                let distance = routine.wrapping_sub(base + u64::from(packed)) as i64;
                let entry = packed_entry(distance, row.stack_arguments)
                    .map_err(|_| BuildError::OutOfReach { service: row.service })?;
                rest.dword(packed - kernel::END + 4 * number, entry);
                rest.qword(pointers - kernel::END + 8 * number, routine);
                rest.byte(arguments - kernel::END + number, row.argument_bytes.into());
            }
            let slot = index as u32 * service_table::SIZE;
            let at = |offset: u32| base + u64::from(offset);
            for table in [kernel::DESCRIPTOR_TABLE, kernel::DESCRIPTOR_TABLE_SHADOW] {
                // Only GUI threads have the second.
                if index == 0 || table == kernel::DESCRIPTOR_TABLE_SHADOW {
                    system::descriptor(&mut block, table + slot, at(packed), rows.len(), at(arguments));
                }
            }
            for table in [kernel::POINTER_TABLE, kernel::POINTER_TABLE_SHADOW] {
                if index == 0 || table == kernel::POINTER_TABLE_SHADOW {
                    system::descriptor(&mut block, table + slot, at(pointers), rows.len(), at(arguments));
                }
            }
        }
        let limit = tables.get(1).map_or(0, Vec::len);
        self.gui_status_table(limit as u32, &mut block, &mut rest);
        self.data = block.finish();
        self.data.extend(rest.finish());
        self.kernel_arguments(plan);
        Ok(())
    }

    /// The byte table behind win32k's services: above zero, such a number is invalid, and says so.
    fn gui_status_table(&self, limit: u32, block: &mut Block, rest: &mut Block) {
        let table = kernel::PACKED_TABLES[1];
        let shadow = kernel::DESCRIPTOR_TABLE_SHADOW + service_table::TEST;
        block.qword(shadow + service_table::BASE, self.kernel.profile.kernel_data + u64::from(table));
        rest.put(table - kernel::END + 4 * limit, &[1; service_table::MAX_SERVICES]);
    }

    /// What stands at the refusals' pointers in kernel space: a return address, a home area, arguments.
    fn kernel_arguments(&mut self, plan: &Plan) {
        let back = self.kernel.code.address(Routine::NtgateDirectReturn);
        for index in 0..plan.sets.len() as u32 {
            let first = record::first_argument(index, KERNEL_POINTER);
            self.data.extend_from_slice(&back.to_le_bytes());
            for k in 0..u64::from(kernel::ARGUMENT_BLOCK) / 8 - 1 {
                self.data.extend_from_slice(&(first + k).to_le_bytes());
            }
        }
    }

    fn finish(mut self) -> Result<Image, BuildError> {
        let profile = &self.kernel.profile;
        self.regions.push(Region::new(profile.kernel_data, self.data, 0, Access::KernelWrite));
        let boot = self.kernel.boot.clone();
        let elf = elf_image(boot, profile.boot_physical, boot::entry(profile), FOUR_LEVELS, &self.regions)?;
        self.symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        let variable = profile.user_tables as u32 + head::SETS;
        Ok(Image { elf, symbols: self.symbols, sets: self.sets, starts: Starts { variable, tables: self.tables } })
    }
}
