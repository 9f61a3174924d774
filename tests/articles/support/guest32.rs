//! The 32-bit guest with a program in ring 3 that does nothing: tests put their own code in its place and go on step by step.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use ntgate::ntgate_gen::{Arch, Shape, read_list, stub};
use ntgate::ntgate_runtime::machine::cpuid::Model;
use ntgate::ntgate_runtime::machine::segment::Descriptor;
use ntgate::ntgate_runtime::machine::{Exit, Gate, Machine, Register, SegmentRegister};
use ntgate::ntgate_runtime::nt::layout::{kpcr, trap_frame};
use ntgate::ntgate_runtime::nt::{
    Image, Kernel, Plan, PlannedService, Profile, Ring, Session, StubSet, SystemCallForm,
};

use super::{FAR, dword, push};

/// Bytes of the guests' memory.
const MEMORY: usize = 8 << 20;

/// Vectors whose error code the processor pushes (SDM vol. 3, table 6-1).
const WITH_ERROR_CODE: [&str; 6] = ["0A", "0B", "0C", "0D", "0E", "11"];

/// A guest on a processor.
pub(crate) struct Guest {
    pub(crate) machine: Machine,
    pub(crate) profile: &'static Profile,
    image: &'static Image,
    names: BTreeMap<u32, Vec<&'static str>>,
}

/// A call of a stub that has begun.
pub(crate) struct Call {
    /// Address of the stub.
    pub(crate) stub: u32,
    /// ESP before the arguments were pushed.
    pub(crate) esp: u32,
    /// Where the stub returns to.
    pub(crate) back: u32,
}

/// What an instruction of ring 3 led to that it was not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The handler: `KiTrap0D`.
    pub(crate) handler: String,
    /// The error code, 0 if there is none.
    pub(crate) code: u32,
    /// Distance of the saved EIP from the instruction.
    pub(crate) behind: u32,
}

impl Fault {
    /// #GP, saved EIP at the instruction.
    pub(crate) fn gp(code: u32) -> Self {
        Self { handler: "KiTrap0D".to_owned(), code, behind: 0 }
    }
}

impl Guest {
    /// A guest whose ring 3 is about to execute its first instruction.
    pub(crate) fn boot(profile: &'static Profile, cpu: &str) -> Self {
        Self::start(profile, cpu, false)
    }

    /// The same with a clock that interrupts.
    pub(crate) fn with_clock(profile: &'static Profile, cpu: &str) -> Self {
        Self::start(profile, cpu, true)
    }

    fn start(profile: &'static Profile, cpu: &str, clock: bool) -> Self {
        let mut guest = Self::load(profile, cpu, clock);
        guest.until(|guest| guest.machine.cpl() == 3);
        assert_eq!(guest.eip(), profile.user_text);
        guest
    }

    /// A guest that has not executed anything yet.
    pub(crate) fn before_boot(profile: &'static Profile, cpu: &str) -> Self {
        Self::load(profile, cpu, false)
    }

    fn load(profile: &'static Profile, cpu: &str, clock: bool) -> Self {
        let image = image(profile, clock);
        let mut machine = Machine::new(Model::by_name(cpu).expect("there is such a model"), MEMORY);
        machine.load(&image.elf).expect("it is an image");
        let mut names: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for symbol in &image.symbols {
            names.entry(symbol.address).or_default().push(&symbol.name);
        }
        Self { machine, profile, image, names }
    }

    /// The address of a symbol.
    pub(crate) fn at(&self, name: &str) -> u32 {
        let symbol = self.image.symbols.iter().find(|symbol| symbol.name == name);
        symbol.unwrap_or_else(|| panic!("no symbol {name}")).address
    }

    /// Every symbol.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let image = self.image;
        image.symbols.iter().map(|symbol| (symbol.name.as_str(), symbol.address))
    }

    /// The address of a service's stub of some shape that the profile has.
    pub(crate) fn stub(&self, shape: Shape, service: &str) -> u32 {
        let set = self.profile.shapes.iter().position(|known| *known == shape).expect("it is one of the profile's");
        self.image.sets[set].stub_addresses[number(service) as usize]
    }

    /// EIP.
    pub(crate) fn eip(&self) -> u32 {
        self.machine.eip()
    }

    /// A register.
    pub(crate) fn register(&self, register: Register) -> u32 {
        self.machine.register(register)
    }

    /// ESP.
    pub(crate) fn esp(&self) -> u32 {
        self.register(Register::Esp)
    }

    /// The selector in a segment register.
    pub(crate) fn selector(&self, register: SegmentRegister) -> u16 {
        self.machine.segment(register).selector.0
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&mut self, address: u32, size: usize) -> Vec<u8> {
        self.machine.read_linear(address, size).unwrap_or_else(|| panic!("{address:08x} is not mapped"))
    }

    /// A dword of memory.
    pub(crate) fn dword(&mut self, address: u32) -> u32 {
        dword(&self.bytes(address, 4))
    }

    /// The dwords from the stack pointer on.
    pub(crate) fn stack<const N: usize>(&mut self) -> [u32; N] {
        let esp = self.esp();
        std::array::from_fn(|n| self.dword(esp + 4 * n as u32))
    }

    /// Writes to memory.
    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) {
        self.machine.write_linear(address.into(), bytes).unwrap_or_else(|| panic!("{address:08x} is not mapped"));
    }

    /// Puts code where execution goes on.
    pub(crate) fn put(&mut self, code: &[u8]) {
        self.write(self.eip(), code);
    }

    /// The gate of a vector.
    pub(crate) fn gate(&mut self, vector: u8) -> Gate {
        let (_, idtr) = self.machine.tables();
        let bytes = self.bytes(idtr.base as u32 + 8 * u32::from(vector), 8);
        Gate(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// Changes the gate of a vector.
    pub(crate) fn set_gate(&mut self, vector: u8, gate: u64) {
        let (_, idtr) = self.machine.tables();
        self.write(idtr.base as u32 + 8 * u32::from(vector), &gate.to_le_bytes());
    }

    /// A descriptor of the GDT.
    pub(crate) fn descriptor(&mut self, selector: u16) -> Descriptor {
        let (gdtr, _) = self.machine.tables();
        let bytes = self.bytes(gdtr.base as u32 + u32::from(selector & !7), 8);
        Descriptor(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// Changes a descriptor of the GDT.
    pub(crate) fn set_descriptor(&mut self, selector: u16, descriptor: u64) {
        let (gdtr, _) = self.machine.tables();
        self.write(gdtr.base as u32 + u32::from(selector & !7), &descriptor.to_le_bytes());
    }

    /// One instruction.
    pub(crate) fn step(&mut self) {
        let at = self.eip();
        self.machine.step().unwrap_or_else(|exit: Exit| panic!("{exit} after {at:08x}"));
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
        panic!("{} is at {:08x} by now", self.profile.name, self.eip());
    }

    /// Goes on to ring 3; gives the first bytes of the kernel's last instruction.
    pub(crate) fn leave_ring_0(&mut self) -> [u8; 2] {
        let mut last = [0; 2];
        self.until(|guest| {
            let in_ring_0 = guest.machine.cpl() == 0;
            if in_ring_0 {
                last.copy_from_slice(&guest.bytes(guest.eip(), 2));
            }
            !in_ring_0
        });
        last
    }

    /// Goes on to an address.
    pub(crate) fn run_to(&mut self, address: u32) {
        self.until(|guest| guest.eip() == address);
    }

    /// Goes on to a symbol.
    pub(crate) fn run_to_symbol(&mut self, name: &str) {
        self.run_to(self.at(name));
    }

    /// Goes on to an address; gives those of the landmarks that it passes, in order.
    pub(crate) fn way_to(&mut self, address: u32, landmarks: &[&'static str]) -> Vec<&'static str> {
        let mut way = Vec::new();
        for _ in 0..FAR {
            if self.eip() == address {
                return way;
            }
            let here = self.names.get(&self.eip()).into_iter().flatten();
            way.extend(here.filter(|name| landmarks.contains(name)));
            self.step();
        }
        panic!("{} went {way:?}", self.profile.name);
    }

    /// Begins to call a stub: the next instruction is its first.
    pub(crate) fn call(&mut self, stub: u32, arguments: &[u32]) -> Call {
        let esp = self.esp();
        let mut code: Vec<u8> = arguments.iter().rev().flat_map(|argument| push(*argument)).collect();
        let back = self.eip() + code.len() as u32 + 5;
        code.push(0xE8);
        code.extend_from_slice(&stub.wrapping_sub(back).to_le_bytes());
        code.push(0x90);
        self.put(&code);
        self.run_to(stub);
        Call { stub, esp, back }
    }

    /// Begins to call ntdll's stub of a service with the arguments 101h, 102h and so on, as many as it has.
    pub(crate) fn call_service(&mut self, service: &str) -> Call {
        let stub = self.at(&format!("ntdll!{service}"));
        self.call(stub, &arguments(service))
    }

    /// Executes instructions of which the last one leads to a trap.
    pub(crate) fn fault(&mut self, code: &[&[u8]]) -> Fault {
        self.put(&code.concat());
        let mut at = self.eip();
        for _ in code {
            assert_eq!(self.machine.cpl(), 3, "an earlier one has led there");
            at = self.eip();
            self.step();
        }
        self.trap(at)
    }

    /// The trap whose handler is about to begin, of an instruction at an address.
    pub(crate) fn trap(&mut self, instruction: u32) -> Fault {
        let here = self.names.get(&self.eip()).into_iter().flatten();
        let handler = here.filter_map(|name| name.strip_prefix("nt!")).next();
        let handler = handler.unwrap_or_else(|| panic!("{:08x} is no handler", self.eip())).to_owned();
        let has_code = WITH_ERROR_CODE.iter().any(|vector| handler == format!("KiTrap{vector}"));
        let [first, second] = self.stack();
        let (code, saved) = if has_code { (first, second) } else { (0, first) };
        Fault { handler, code, behind: saved.wrapping_sub(instruction) }
    }

    /// The running thread's `KTHREAD`.
    pub(crate) fn thread(&mut self) -> u32 {
        self.dword(self.profile.kpcr + kpcr::CURRENT_THREAD)
    }

    /// `KTHREAD.PreviousMode`.
    pub(crate) fn previous_mode(&mut self) -> u8 {
        let thread = self.thread();
        self.bytes(thread + self.profile.thread.previous_mode, 1)[0]
    }

    /// A field of the base frame.
    pub(crate) fn frame(&mut self, field: u32) -> u32 {
        self.dword(self.profile.base_frame() + field)
    }

    /// What the processor pushes on the way from ring 3, as the base frame has it: EIP, CS, EFLAGS, ESP, SS.
    pub(crate) fn hardware_frame(&mut self) -> [u32; 5] {
        [trap_frame::EIP, trap_frame::SEG_CS, trap_frame::EFLAGS, trap_frame::HARDWARE_ESP, trap_frame::HARDWARE_SEG_SS]
            .map(|field| self.frame(field))
    }
}

/// The number of a service in the built-in list.
pub(crate) fn number(service: &str) -> u32 {
    let read = read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right");
    read.list.primary().by_name(service).expect("it is in the list").number()
}

/// 101h, 102h and so on, as many as a service has.
pub(crate) fn arguments(service: &str) -> Vec<u32> {
    let read = read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right");
    let service = read.list.primary().by_name(service).expect("it is in the list");
    (1..=service.arg_bytes(Arch::I386) / 4).map(|n| 0x100 + n).collect()
}

/// The image of a profile, built once.
fn image(profile: &'static Profile, clock: bool) -> &'static Image {
    type Images = BTreeMap<(&'static str, bool), &'static Image>;
    static IMAGES: OnceLock<Mutex<Images>> = OnceLock::new();
    let mut images = IMAGES.get_or_init(Mutex::default).lock().unwrap_or_else(|poison| poison.into_inner());
    images.entry((profile.name, clock)).or_insert_with(|| Box::leak(Box::new(build(profile, clock))))
}

fn build(profile: &Profile, clock: bool) -> Image {
    let read = read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right");
    let services = read.list.primary().services();
    let mut plan = Plan::default();
    for (index, service) in services.iter().enumerate() {
        let args_bytes = service.arg_bytes(Arch::I386);
        plan.services.push(PlannedService { name: service.name().nt().to_owned(), args_bytes });
        plan.ssdt.push(index);
        plan.sspt.push(args_bytes as u8);
    }
    for shape in profile.shapes.iter().chain(&[Shape::Zw]) {
        plan.sets.push(StubSet {
            label: shape.name().to_owned(),
            form: SystemCallForm::Pointer,
            ring: if shape.is_kernel() { Ring::Kernel } else { Ring::User },
            needs_sysenter: *shape == Shape::Sysenter,
            stubs: services.iter().map(|service| stub::build(*shape, service, shape.default_encoding())).collect(),
            past_end: None,
            refusals: false,
        });
    }
    let mut session = Session::default();
    session.program = vec![0x90; 0x200];
    session.clock = clock;
    let kernel = Kernel::new(profile).expect("the profile is right");
    kernel.session(&plan, &session).unwrap_or_else(|error| panic!("{error}"))
}
