//! What a proof has to know of a guest. There is one for each architecture; everything else here is the same for both.

use ntgate_gen::model::limits;
use ntgate_gen::stub::{self, Stub};
use ntgate_gen::{Service, ServiceTable, Shape, read_list};

use super::cpu::Cpu;
use super::log::Form;
use super::mutation::Mutation;
use super::verdict::Expected;
use crate::nt::Entry;
use crate::nt::{BuildError, Start};

/// A guest of one profile, assembled.
pub(super) trait Guest: Sync + Send {
    /// What one boot is to do.
    type Plan: Clone + Sync + Send;
    /// A bootable image of a plan.
    type Image: Clone + Sync + Send;

    /// What the guest's log looks like.
    const FORM: &'static Form;

    /// The CPU on which mutants run: one that reaches every entry.
    const MUTANT_CPU: &'static str;

    /// The profile's name.
    fn profile(&self) -> &'static str;

    /// The plan that proves these shapes: one set for each, or for each way that a shape's stubs can take.
    fn plan(&self, services: &Services<'_>, shapes: &[Shape]) -> Self::Plan;

    /// The image of a plan.
    fn image(&self, plan: &Self::Plan) -> Result<Self::Image, BuildError>;

    /// The image's file.
    fn elf(image: &Self::Image) -> &[u8];

    /// Makes the next boot begin at another call.
    fn set_start(image: &mut Self::Image, start: Start) -> Result<(), BuildError>;

    /// A set of a plan; `None` if it has no set of that index. They run in this order.
    fn set(plan: &Self::Plan, index: usize) -> Option<Set<'_>>;

    /// All sets of a plan.
    fn sets(plan: &Self::Plan) -> impl Iterator<Item = Set<'_>> {
        (0..).map_while(|index| Self::set(plan, index))
    }

    /// How many services a plan has.
    fn services(plan: &Self::Plan) -> usize;

    /// The stubs of each set, to be broken.
    fn stubs_mut(plan: &mut Self::Plan) -> Vec<&mut Vec<Stub>>;

    /// Leaves out the calls that have to fail.
    fn drop_bad_calls(plan: &mut Self::Plan);

    /// Breaks the row of a service in the tables as the mutation says.
    fn break_row(plan: &mut Self::Plan, row: Row, service: &Service, mutation: Mutation) -> Change;

    /// Lets two rows of a table change places: the routines alone, or `all` that the tables have about them.
    fn swap_rows(plan: &mut Self::Plan, a: Row, b: Row, all: bool);

    /// The CPU models on which the profile's system runs.
    fn cpus(&self) -> Vec<Cpu>;

    /// How the stubs of a set get in on a CPU; `None` if they cannot run there.
    fn entry(&self, set: &Set<'_>, cpu: &Cpu) -> Option<Entry>;

    /// The calls of a set in the order in which they are made.
    fn calls(image: &Self::Image, set: usize) -> Vec<u32>;

    /// The words behind `cpu` in the log's second line.
    fn cpu_line(&self, cpu: &Cpu) -> String;

    /// What the set's first line has to say: the values of [`Form::set_facts`].
    fn set_facts(view: &SetView<'_, Self>) -> [u64; 2]
    where
        Self: Sized;

    /// What the record of a call has to be; `None` if the set has no such call.
    fn expected(view: &SetView<'_, Self>, call: u32) -> Option<Expected>
    where
        Self: Sized;
}

/// A set of a plan, as far as guests have it in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) label: &'a str,
    pub(super) stubs: &'a [Stub],
    pub(super) past_end: Option<&'a Stub>,
    /// The stubs find the page that all processes share set for `int 2Eh`.
    pub(super) by_interrupt: bool,
}

impl Set<'_> {
    /// The shape of its stubs.
    pub(super) fn shape(&self) -> Option<Shape> {
        self.stubs.first().map(|stub| stub.shape)
    }
}

/// What became of a stub or a row that was to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is broken.
    Made,
    /// It is changed, and no program can tell: why.
    Same(&'static str),
    /// There is nothing of the kind to be broken.
    Impossible,
}

/// A set of a boot, with all that its calls' expected values come from.
pub(super) struct SetView<'a, G: Guest> {
    pub(super) guest: &'a G,
    /// The plan as it should be: of unbroken stubs and tables.
    pub(super) plan: &'a G::Plan,
    /// The image that ran.
    pub(super) image: &'a G::Image,
    /// Which set.
    pub(super) index: usize,
    pub(super) cpu: &'a Cpu,
}

impl<'a, G: Guest> SetView<'a, G> {
    /// The set; `None` if there is none of that index.
    pub(super) fn set(&self) -> Option<Set<'a>> {
        G::set(self.plan, self.index)
    }

    /// How its stubs get in; `None` if the CPU cannot run it.
    pub(super) fn entry(&self) -> Option<Entry> {
        self.guest.entry(&self.set()?, self.cpu)
    }

    pub(super) fn set_facts(&self) -> [u64; 2] {
        G::set_facts(self)
    }

    /// The set's number, as the guest has it.
    pub(super) fn number(&self) -> u32 {
        u32::try_from(self.index).unwrap_or(u32::MAX)
    }
}

/// A place in the service tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// 0: the kernel's own; 1: win32k's.
    pub(super) table: usize,
    /// The number in the table.
    pub(super) row: usize,
}

/// The services of a list that a guest can have, in the order of the list.
#[derive(Debug, Clone)]
pub(super) struct Services<'a> {
    tables: Vec<&'a ServiceTable>,
}

impl<'a> Services<'a> {
    /// The kernel's own table, and win32k's if the list has one.
    pub(super) fn new(kernel: &'a ServiceTable, win32k: Option<&'a ServiceTable>) -> Self {
        Self { tables: std::iter::once(kernel).chain(win32k).collect() }
    }

    pub(super) fn tables(&self) -> &[&'a ServiceTable] {
        &self.tables
    }

    pub(super) fn kernel(&self) -> &'a ServiceTable {
        self.tables[0]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Service> {
        self.tables.iter().flat_map(|table| table.services())
    }

    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// A stub whose number is one past the end of the kernel's table. A full table has none: the next number is another
    /// table's.
    pub(super) fn past_end(&self, shape: Shape) -> Option<Stub> {
        let number = self.kernel().limit();
        if number >= limits::SERVICES_PER_TABLE {
            return None;
        }
        // A list of one service is the only way to a service.
        let list = format!("NtPastTheEnd 0 @{number}\n");
        let read = read_list("past the end", list.as_bytes()).ok()?;
        let service = read.list.primary().services().first()?;
        Some(stub::build(shape, service, shape.default_encoding()))
    }

    /// Where each service stands in the guest's tables.
    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = self.tables.iter().enumerate().flat_map(|(index, table)| {
            table
                .services()
                .iter()
                .map(move |service| Row { table: index, row: (service.number() - table.base()) as usize })
        });
        rows.collect()
    }

    /// For each row of each table the index of its service.
    pub(super) fn indices(&self) -> Vec<Vec<Option<usize>>> {
        let mut indices: Vec<Vec<Option<usize>>> =
            self.tables.iter().map(|table| vec![None; table.limit() as usize]).collect();
        for (index, row) in self.rows().into_iter().enumerate() {
            if let Some(place) = indices.get_mut(row.table).and_then(|table| table.get_mut(row.row)) {
                *place = Some(index);
            }
        }
        indices
    }
}
