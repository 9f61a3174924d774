//! The 64-bit guest, whose harness in ring 3 calls one stub after the other: tests let it come to a place and go on step by
//! step.

use std::sync::{Mutex, OnceLock};

use ntgate::ntgate_gen::{Arch, Shape, read_list, stub};
use ntgate::ntgate_runtime::machine::Machine;
use ntgate::ntgate_runtime::machine::cpuid::Model;
use ntgate::ntgate_runtime::machine::segment::Descriptor;
use ntgate::ntgate_runtime::nt::amd64::{
    Image, Kernel, Plan, PlannedService, Profile, Row, StubSet, SystemCall, TableForm, layout, profile,
};
use ntgate::ntgate_runtime::nt::{Ring, Start};

use super::FAR;

/// Bytes of the guest's memory.
const MEMORY: usize = 32 << 20;

/// Numbers of the general registers.
pub(crate) mod register {
    pub(crate) const RAX: u8 = 0;
    pub(crate) const RCX: u8 = 1;
    pub(crate) const RDX: u8 = 2;
    pub(crate) const RBX: u8 = 3;
    pub(crate) const RSP: u8 = 4;
    pub(crate) const RBP: u8 = 5;
    pub(crate) const RSI: u8 = 6;
    pub(crate) const RDI: u8 = 7;
    pub(crate) const R8: u8 = 8;
    pub(crate) const R9: u8 = 9;
    pub(crate) const R10: u8 = 10;
    pub(crate) const R11: u8 = 11;
}

/// A guest with Windows 7's addresses.
pub(crate) struct Guest64 {
    pub(crate) machine: Machine,
    pub(crate) profile: &'static Profile,
    image: Image,
}

impl Guest64 {
    /// A guest whose ring 3 is about to execute the first instruction of ntdll's stub of a service.
    pub(crate) fn at_stub(service: &str) -> Self {
        Self::start(service, 0)
    }

    /// The same of a process with an instrumentation callback.
    pub(crate) fn at_stub_with_callback(service: &str) -> Self {
        Self::start(service, 1)
    }

    fn start(service: &str, set: usize) -> Self {
        let mut image = image().clone();
        let read = read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right");
        let call = read.list.primary().by_name(service).expect("it is in the list").number();
        image.set_start(Start { set, call }).expect("there is such a set");
        let mut machine = Machine::new(Model::by_name("core2duo").expect("there is such a model"), MEMORY);
        machine.load(&image.elf).expect("it is an image");
        let stub = image.sets[set].stub_addresses[call as usize];
        let mut guest = Self { machine, profile: &profile::WIN7_X64, image };
        guest.run_to(stub);
        guest
    }

    /// The address of a symbol.
    pub(crate) fn at(&self, name: &str) -> u64 {
        let symbol = self.image.symbols.iter().find(|symbol| symbol.name == name);
        symbol.unwrap_or_else(|| panic!("no symbol {name}")).address
    }

    /// Whether a symbol has this address. Services that the kernel implements itself are there twice: a proof has routines of
    /// its own for them.
    pub(crate) fn is_at(&self, name: &str, address: u64) -> bool {
        self.image.symbols.iter().any(|symbol| symbol.name == name && symbol.address == address)
    }

    /// A general register.
    pub(crate) fn register(&self, number: u8) -> u64 {
        self.machine.register64(number).expect("there is such a register")
    }

    /// Changes a general register.
    pub(crate) fn set_register(&mut self, number: u8, value: u64) {
        self.machine.set_register64(number, value).expect("there is such a register");
    }

    /// Some bytes of memory, as a number.
    pub(crate) fn read(&mut self, address: u64, size: usize) -> u64 {
        let bytes = self.machine.read_linear64(address, size);
        let bytes = bytes.unwrap_or_else(|| panic!("{address:016x} is not mapped"));
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Writes to memory.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) {
        self.machine.write_linear(address, bytes).unwrap_or_else(|| panic!("{address:016x} is not mapped"));
    }

    /// Puts code where execution goes on.
    pub(crate) fn put(&mut self, code: &[u8]) {
        self.write(self.machine.rip(), code);
    }

    /// A field of the frame of a call from ring 3.
    pub(crate) fn frame(&mut self, field: u32, size: usize) -> u64 {
        self.read(self.profile.base_frame() + u64::from(field), size)
    }

    /// The address of a field of the running thread.
    pub(crate) fn thread(&self, field: u32) -> u64 {
        self.at("nt!KiInitialThread") + u64::from(field)
    }

    /// A descriptor of the GDT.
    pub(crate) fn descriptor(&mut self, selector: u16) -> Descriptor {
        let (gdtr, _) = self.machine.tables();
        Descriptor(self.read(gdtr.base + u64::from(selector & !7), 8))
    }

    /// One instruction.
    pub(crate) fn step(&mut self) {
        let at = self.machine.rip();
        self.machine.step().unwrap_or_else(|exit| panic!("{exit} after {at:016x}"));
    }

    /// Some instructions.
    pub(crate) fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Goes on until something is the case.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..FAR {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("it is at {:016x} by now", self.machine.rip());
    }

    /// Goes on to an address.
    pub(crate) fn run_to(&mut self, address: u64) {
        self.until(|guest| guest.machine.rip() == address);
    }

    /// Goes on to a symbol.
    pub(crate) fn run_to_symbol(&mut self, name: &str) {
        self.run_to(self.at(name));
    }

    /// Goes on to a `syscall`, which is next.
    pub(crate) fn run_to_syscall(&mut self) {
        self.until(|guest| guest.read(guest.machine.rip(), 2) == 0x050F);
    }
}

/// The stack arguments of every service of the kernel's table, and of win32k's.
pub(crate) fn tables() -> [Vec<(String, u32)>; 2] {
    let read = read_list("two tables", &list()).expect("the list is right");
    let mut tables = read.list.tables().iter().map(|table| {
        let stack = |args: u8| u32::from(args).saturating_sub(4);
        table.services().iter().map(|s| (s.name().nt().to_owned(), stack(s.args(Arch::Amd64)))).collect()
    });
    std::array::from_fn(|_| tables.next().expect("there are two"))
}

/// The built-in list, and a table of win32k.
fn list() -> Vec<u8> {
    let win32k = "#! table win32k base=0x1000\nNtGdiA 1\nNtGdiB 5\nNtGdiC 11\n";
    [ntgate::SYSFUNCS, win32k.as_bytes()].concat()
}

/// The image, built once.
fn image() -> &'static Image {
    static IMAGE: OnceLock<Mutex<Option<&'static Image>>> = OnceLock::new();
    let mut image = IMAGE.get_or_init(Mutex::default).lock().unwrap_or_else(|poison| poison.into_inner());
    image.get_or_insert_with(|| Box::leak(Box::new(build())))
}

fn build() -> Image {
    let read = read_list("two tables", &list()).expect("the list is right");
    let mut plan = Plan::default();
    for table in read.list.tables() {
        let mut rows = Vec::new();
        for service in table.services() {
            let args = u32::from(service.args(Arch::Amd64));
            rows.push(Row::new(plan.services.len(), args));
            plan.services.push(PlannedService { name: service.name().nt().to_owned(), args });
        }
        plan.tables.push(rows);
    }
    for callback in [false, true] {
        let encoding = Shape::Syscall.default_encoding();
        plan.sets.push(StubSet {
            label: Shape::Syscall.name().to_owned(),
            ring: Ring::User,
            tables: TableForm::Packed,
            system_call: SystemCall::Syscall,
            callback,
            stubs: read.list.services().map(|service| stub::build(Shape::Syscall, service, encoding)).collect(),
            past_end: None,
            refusals: false,
        });
    }
    let kernel = Kernel::new(&profile::WIN7_X64).expect("the profile is right");
    let image = kernel.image(&plan).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(layout::trap_frame::SIZE, 0x190);
    image
}
