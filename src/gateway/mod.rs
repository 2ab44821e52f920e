//! The gateway: one stable address for whatever runs where, on the loopback of this machine.
//!
//! One container per machine serves it. What leads where is decided by pure files, from what the engine holds
//! ([`table`]) and what the command line told ([`memory`]): [`name`] reads host names, [`wake`] orders what is
//! started, [`idle`] says what is put to sleep, [`startup`] reads the first words of a PostgreSQL connection. The
//! files below [`serve`] act on that. The engine comes in as a [`fleet::Fleet`], so that this room knows no API.
//!
//! # What wakes
//! An environment whose containers do not run is woken by the next request or connection when the gateway itself put
//! it to sleep, or when nobody saw it stop, as after a restart of the machine. A container that was stopped through
//! the engine's API while the gateway watched (`devenv stop`, `docker stop`) stays stopped: whoever did that meant it.

pub mod fleet;
pub mod idle;
pub mod memory;
pub mod name;
pub mod protocol;
pub mod serve;
pub mod startup;
pub mod table;
pub mod wake;
