//! What can be wrong with a plan or a profile.

use std::fmt;

use iced_x86::IcedError;
use ntgate_gen::stub::EncodeError;

/// Why there is no image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The guest's own code could not be assembled: an address of the profile is out of reach.
    Assemble {
        /// What the assembler says.
        message: String,
    },
    /// A stub cannot be encoded where it has to stand.
    Stub {
        /// Index of the set.
        set: usize,
        /// Index of the stub; the number of stubs for the one past the end.
        stub: usize,
        /// Why.
        error: EncodeError,
    },
    /// More services or rows than a service table can have.
    TooManyServices {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// More sets than a record can number.
    TooManySets {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A set has more stubs than the plan has services.
    TooManyStubs {
        /// Index of the set.
        set: usize,
    },
    /// A service pops more than a `ret` can.
    TooManyArguments {
        /// Index of the service.
        service: usize,
    },
    /// A service has more stack arguments than the 64-bit kernel copies.
    TooManyStackArguments {
        /// Index of the service.
        service: usize,
        /// How many it may have.
        max: u32,
    },
    /// There are more service tables than numbers can choose from.
    TooManyTables {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The guest has no routine or variable of this name.
    NoSuchSymbol {
        /// The name.
        name: &'static str,
    },
    /// A service's routine is too far from the packed table.
    OutOfReach {
        /// Index of the service.
        service: usize,
    },
    /// The service table and the argument table differ in length.
    TablesDiffer {
        /// Rows of the service table.
        ssdt: usize,
        /// Rows of the argument table.
        sspt: usize,
    },
    /// The plan starts at a set that it does not have.
    NoSuchStart {
        /// Index of the set.
        set: usize,
    },
    /// A session's ntdll calls a service for which the plan has no stub in ring 3.
    MissingService {
        /// The service.
        name: &'static str,
    },
    /// Something is larger than the address range that the profile has for it.
    DoesNotFit {
        /// What it is.
        what: &'static str,
    },
    /// Two addresses of the profile are the wrong way round or too close to each other.
    Order {
        /// The field that has to be lower.
        low: &'static str,
        /// The field that has to be higher.
        high: &'static str,
    },
    /// The profile gives two things the same page.
    Overlap {
        /// Address of the page.
        address: u64,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assemble { message } => {
                write!(f, "the guest's code cannot be assembled: {message}")
            }
            Self::Stub { set, stub, error } => write!(f, "set {set}, stub {stub}: {error}"),
            Self::TooManyServices { count, max } => {
                write!(f, "{count} services; a service table holds {max}")
            }
            Self::TooManySets { count, max } => write!(f, "{count} sets; an image holds {max}"),
            Self::TooManyStubs { set } => {
                write!(f, "set {set} has more stubs than there are services")
            }
            Self::MissingService { name } => {
                write!(f, "a session needs a stub of {name} in ring 3, and the plan has none")
            }
            Self::TooManyArguments { service } => {
                write!(f, "service {service} pops more than `ret` can")
            }
            Self::TooManyStackArguments { service, max } => {
                write!(f, "service {service} has more than {max} stack arguments")
            }
            Self::TooManyTables { count, max } => {
                write!(f, "{count} service tables; a service number chooses from {max}")
            }
            Self::NoSuchSymbol { name } => write!(f, "the guest has no {name}"),
            Self::OutOfReach { service } => {
                write!(f, "service {service} is out of a packed table's reach")
            }
            Self::TablesDiffer { ssdt, sspt } => {
                write!(f, "the service table has {ssdt} rows, the argument table {sspt}")
            }
            Self::NoSuchStart { set } => {
                write!(f, "the plan starts at set {set}, which it does not have")
            }
            Self::DoesNotFit { what } => {
                write!(f, "the {what} do not fit the address range of the profile")
            }
            Self::Order { low, high } => write!(f, "the profile's {low} has to be below its {high}"),
            Self::Overlap { address } => {
                write!(f, "the profile uses the page at {address:08x} twice")
            }
        }
    }
}

impl std::error::Error for BuildError {}

impl From<IcedError> for BuildError {
    fn from(error: IcedError) -> Self {
        Self::Assemble { message: error.to_string() }
    }
}
