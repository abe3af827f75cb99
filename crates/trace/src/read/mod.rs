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
//! ```
//! use shootdown_trace::read::{Item, Reader, Wanted};
//!
//! let text = "# tracer: nop\n\
//!     init-1 [001] d..1.  4.790775: free: pfn=0x12\n\
//!     init-1 [001] d..2.  4.790776: inv: (f+0x0/0x80) mm=0x1 start=0x2000 end=0x3000\n";
//! let wanted = Wanted::nothing().events(["inv"]);
//! let mut reader = Reader::new("an example", text.as_bytes(), &wanted)?;
//! let Some(Item::Event(event)) = reader.next()? else { panic!("one event") };
//! assert_eq!((event.place, event.cpu, event.number("start")), (3, 1, Some(0x2000)));
//! assert_eq!(event.flags.map(|flags| flags.preempt_depth), Some(2));
//! assert!(reader.next()?.is_none());
//! # Ok::<(), shootdown_trace::read::TraceError>(())
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
