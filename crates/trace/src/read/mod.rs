//! From what tracers write to events.
//!
//! ```text
//!  a file, standard input
//!   |  gzip, zstd: recognised by their first bytes
//!   |  format: recognised by content
//!   v
//!  lines or records
//!   |  Wanted: is it an event that anybody asked for? (before anything is parsed)
//!   v
//!  RawEvent: who, when, where, name, and fields that are looked up by name
//! ```
//!
//! A field has one name in all formats, that of the kernel's format file or of the
//! probe definition, whatever the text calls it: `number("fault_address")` reads the
//! `address 0x1000` of a text and the eight bytes of a record alike.
//!
//! Events come in the order of their times. What could not be read ends the reading
//! with a [`TraceError`]; everything before it was delivered and stays valid. Events
//! that the tracer lost are [`Item::Lost`], at their place among the others.
//!
//! Memory does not grow with the input: a reader holds one buffer, one binary page for
//! each CPU, or one bounded window in which events of several CPUs are put in order.

mod bpftrace;
mod casemate;
mod columns;
mod dat;
mod error;
mod event;
mod frames;
mod layout;
mod lines;
mod names;
mod printed;
mod reader;
mod recognise;
mod record;
mod source;
mod text;
mod wanted;
mod window;

pub use error::{Cause, Place, TraceError};
pub use event::{Body, Flags, Item, Lost, RawEvent};
pub use reader::Reader;
pub use record::Record;
pub use source::{Compression, Format, Source, TimeUnit};
pub use wanted::Wanted;
