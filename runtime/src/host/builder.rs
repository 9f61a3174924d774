//! From a profile, a list, closures and a program to a machine.

use std::collections::BTreeMap;
use std::fmt;

use ntgate_gen::{Arch, ServiceList, read_list};

use super::error::{BoxError, nearest};
use super::run::{FIRST_VALUE, Handler, Served};
use super::system::{Guest, Image, System, Tables, Wanted};
use super::{BuildError, Call, Machine, NtStatus, Places};
use crate::machine::{self, cpuid::Model};
use crate::nt::lists::list_of;
use crate::nt::record;

/// The profile that is taken when none is named.
const PROFILE: &str = "srv2003";

/// Bytes of memory: twice what a proof has, as a program may be large.
const MEMORY: usize = 16 << 20;

/// Code that is made when the addresses are known.
type Code<'h> = Box<dyn FnOnce(&Places) -> Result<Vec<u8>, BoxError> + 'h>;

/// What becomes of the services that nobody was given for.
#[derive(Default)]
enum Others<'h> {
    #[default]
    NotImplemented,
    ProverValues,
    Served(Handler<'h>),
}

/// A machine in the making: see the [module's page](crate::host).
#[derive(Default)]
pub struct Builder<'h> {
    profile: Option<String>,
    cpu: Option<String>,
    list: Option<ServiceList>,
    services: Vec<(String, Handler<'h>)>,
    routines: Vec<(String, Code<'h>)>,
    others: Others<'h>,
    program: Option<Code<'h>>,
    clock: bool,
}

impl fmt::Debug for Builder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<&str> = self.services.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Builder")
            .field("profile", &self.profile)
            .field("cpu", &self.cpu)
            .field("services", &services)
            .finish_non_exhaustive()
    }
}

impl<'h> Builder<'h> {
    /// The system, one of [`profiles`](super::profiles). Without it, `srv2003`.
    #[must_use]
    pub fn profile(mut self, name: &str) -> Self {
        self.profile = Some(name.to_owned());
        self
    }

    /// The CPU model. Without it, one that has all that the system makes use of.
    #[must_use]
    pub fn cpu(mut self, name: &str) -> Self {
        self.cpu = Some(name.to_owned());
        self
    }

    /// The services and their numbers; a second table, with base 1000h, is win32k's. It needs `NtContinue`,
    /// `NtRaiseException` and `NtCallbackReturn`, which ntdll itself calls. Without it, the list of the system itself.
    #[must_use]
    pub fn list(mut self, list: &ServiceList) -> Self {
        self.list = Some(list.clone());
        self
    }

    /// Implements a service; the last closure for a name counts, and comes before what the kernel itself does for
    /// `NtContinue` and its like. `Err` is any status other than success, `STATUS_PENDING` too; what the guest was promised
    /// in memory is the closure's to write.
    #[must_use]
    pub fn service(mut self, name: &str, serve: impl FnMut(&mut Call<'_>) -> Result<(), NtStatus> + 'h) -> Self {
        self.services.retain(|(known, _)| known != name);
        self.services.push((name.to_owned(), Box::new(serve)));
        self
    }

    /// Implements a service as code of ring 0, at most 400h bytes: called on i386 with the arguments above the return address,
    /// which it pops, on amd64 as every function there. It may call others by the kernel's own stubs, `nt!ZwClose` among the
    /// [symbols](Places::symbol).
    #[must_use]
    pub fn routine(mut self, name: &str, code: impl FnOnce(&Places) -> Result<Vec<u8>, BoxError> + 'h) -> Self {
        self.routines.push((name.to_owned(), Box::new(code)));
        self
    }

    /// Implements all services for which there is no closure of their own, and which the kernel does not have itself.
    /// Without it, they return `STATUS_NOT_IMPLEMENTED`.
    #[must_use]
    pub fn others(mut self, serve: impl FnMut(&mut Call<'_>) -> Result<(), NtStatus> + 'h) -> Self {
        self.others = Others::Served(Box::new(serve));
        self
    }

    /// Lets these services return what they do in a proof instead: [`record::status`] of their place in the list and of
    /// set 0, a value that tells which of them ran.
    #[must_use]
    pub fn prover_values(mut self) -> Self {
        self.others = Others::ProverValues;
        self
    }

    /// What runs in ring 3. The closure is given the addresses, and gives code for [`Places::start`] that begins with its
    /// first instruction. There are a stack and a page of data; the program ends with NtTerminateProcess.
    #[must_use]
    pub fn program(mut self, code: impl FnOnce(&Places) -> Result<Vec<u8>, BoxError> + 'h) -> Self {
        self.program = Some(Box::new(code));
        self
    }

    /// The clock interrupts and counts. Without it, time stands still.
    #[must_use]
    pub fn clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// The machine, loaded and not yet run.
    ///
    /// # Errors
    ///
    /// When a name is not known, something is missing, a closure that makes code fails, or the guest cannot be built: see
    /// [`BuildError`].
    pub fn build(self) -> Result<Machine<'h>, BuildError> {
        let system = System::by_name(self.profile.as_deref().unwrap_or(PROFILE))?;
        let model = model(system, self.cpu.as_deref())?;
        let list = match self.list {
            Some(list) => list,
            None => own_list(system)?,
        };
        let tables = Tables::new(&list)?;
        for name in self.services.iter().map(|(name, _)| name).chain(self.routines.iter().map(|(name, _)| name)) {
            if !tables.names().any(|known| known == name) {
                return Err(BuildError::unknown_service(name, tables.names()));
            }
        }
        let program = self.program.ok_or(BuildError::NoProgram)?;
        let guest = system.guest(&tables)?;
        let (served, handlers) = serve(system.arch(), &*guest, &tables, self.services, self.others, &self.routines);
        let (image, places) = image(&*guest, &served, self.routines, program, self.clock)?;
        let mut machine = machine::Machine::new(model, MEMORY);
        machine.load(&image.elf)?;
        Ok(Machine { machine, abi: guest.abi(), places, served, handlers, end: None })
    }
}

fn model(system: System, name: Option<&str>) -> Result<&'static Model, BuildError> {
    let name = name.unwrap_or(system.usual_cpu());
    let known = system.cpus().to_vec();
    let model = Model::by_name(name).ok_or_else(|| BuildError::UnknownCpu {
        name: name.to_owned(),
        nearest: nearest(name, known.iter().copied()),
        known: known.clone(),
    })?;
    if known.contains(&model.name) {
        Ok(model)
    } else {
        Err(BuildError::CpuOfProfile { cpu: model.name, profile: system.name(), known })
    }
}

fn own_list(system: System) -> Result<ServiceList, BuildError> {
    let profile = system.name();
    let read = list_of(profile).and_then(|list| read_list(profile, list.as_bytes()).ok());
    read.map(|read| read.list).ok_or(BuildError::NoList { profile })
}

/// Which closure has which service.
fn serve<'h>(
    arch: Arch,
    guest: &dyn Guest,
    tables: &Tables<'_>,
    services: Vec<(String, Handler<'h>)>,
    others: Others<'h>,
    routines: &[(String, Code<'h>)],
) -> (Vec<Served>, Vec<Handler<'h>>) {
    let (names, mut handlers): (Vec<String>, Vec<Handler<'h>>) = services.into_iter().unzip();
    let rest = handlers.len();
    match others {
        Others::NotImplemented => {}
        Others::Served(handler) => handlers.push(handler),
        Others::ProverValues => {
            let places = tables.names().zip(0..).map(|(name, place)| (name.to_owned(), place));
            handlers.push(prover_values(places.collect()));
        }
    }
    let mut served = Vec::new();
    for service in tables.services() {
        let name = service.name().nt();
        let own = names.iter().position(|known| known == name);
        let code = routines.iter().any(|(known, _)| known == name);
        let handler = match own {
            Some(handler) => handler,
            None if handlers.len() > rest && !code && !guest.implements(name) => rest,
            None => continue,
        };
        served.push(Served {
            name: name.to_owned(),
            number: service.number(),
            args: service.args(arch).into(),
            handler,
        });
    }
    (served, handlers)
}

fn prover_values<'h>(places: BTreeMap<String, u32>) -> Handler<'h> {
    Box::new(move |call| {
        let place = places.get(call.service()).copied().unwrap_or_default();
        Err(NtStatus(record::status(place, 0)))
    })
}

/// The image, in two steps: the first finds the addresses that the second's code needs.
fn image<'h>(
    guest: &dyn Guest,
    served: &[Served],
    routines: Vec<(String, Code<'h>)>,
    program: Code<'h>,
    clock: bool,
) -> Result<(Image, Places), BuildError> {
    let mut wanted = Wanted { clock, ..Wanted::default() };
    for (value, service) in (FIRST_VALUE..).zip(served) {
        wanted.routines.push((service.name.clone(), guest.leave(value, service.args as u32)?));
    }
    let first = wanted.routines.len();
    wanted.routines.extend(routines.iter().map(|(name, _)| (name.clone(), Vec::new())));
    let Image { stubs, symbols, .. } = guest.image(wanted.clone())?;
    let abi = guest.abi();
    let mut places = Places { profile: abi.profile, bits: abi.bits, start: 0, data: abi.data, stubs, symbols };
    for (index, (name, code)) in (first..).zip(routines) {
        places.start = guest.routine_address(index);
        let bytes = code(&places).map_err(|error| BuildError::Code { what: name, error })?;
        if let Some((_, routine)) = wanted.routines.get_mut(index) {
            *routine = bytes;
        }
    }
    places.start = abi.text;
    wanted.program = program(&places).map_err(|error| BuildError::Code { what: "program".to_owned(), error })?;
    let image = guest.image(wanted)?;
    Ok((image, places))
}
