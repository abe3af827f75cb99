//! Page requests: a device that faults asks the system and tries again.
//!
//! The fault handler runs outside every window, so it may take locks, sleep,
//! and change the page table. How often it is asked for one access is bounded:
//! a page that is taken away as fast as it is given becomes an error of the
//! device instead of a device that hangs.

use core::fmt;

use mmu_protocol::{Access, VirtAddr};

use crate::port::Port;
use crate::source::Source;
use crate::translation::{Fault, Pasid, Translation};

/// What a device asks the system for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The address space.
    pub pasid: Pasid,
    /// The address that faulted.
    pub addr: VirtAddr,
    /// What the device wants to do there.
    pub access: Access,
}

/// What the system answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageResponse {
    /// The page is there; try again.
    Success,
    /// There is no such page, or it does not allow the access.
    Invalid,
    /// The request failed, and further requests of this PASID will too.
    Failure,
}

/// Resolves page requests, as the kernel's page fault handler does.
pub trait FaultHandler {
    /// Makes the page accessible, or says why not.
    fn handle(&self, request: PageRequest) -> PageResponse;
}

impl<F: Fn(PageRequest) -> PageResponse> FaultHandler for F {
    fn handle(&self, request: PageRequest) -> PageResponse {
        self(request)
    }
}

/// Why an access of a device was not performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// The address cannot be mapped; nobody was asked.
    Unmappable(Fault),
    /// The system says that there is no such page or right.
    Invalid(PageRequest),
    /// The system could not resolve the request.
    Failure(PageRequest),
    /// The system resolved the request as often as allowed, and the access
    /// faulted again each time.
    RetriesExhausted {
        /// The last request.
        request: PageRequest,
        /// How many were resolved.
        retries: u32,
    },
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::Unmappable(fault) => fault.fmt(f),
            AccessError::Invalid(request) => write!(f, "{request} was answered invalid"),
            AccessError::Failure(request) => write!(f, "{request} was answered failure"),
            AccessError::RetriesExhausted { request, retries } => write!(
                f,
                "{request} was answered success {retries} times, and the access faulted again"
            ),
        }
    }
}

impl core::error::Error for AccessError {}

impl fmt::Display for PageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page request of pasid {} for a {} of {}", self.pasid, self.access, self.addr)
    }
}

/// A port whose faults are resolved by a handler.
pub struct DevicePort<S: Source, H> {
    port: Port<S>,
    handler: H,
    retries: u32,
}

impl<S: Source, H: FaultHandler> DevicePort<S, H> {
    /// A port that asks `handler` at most `retries` times for one access.
    pub fn new(port: Port<S>, handler: H, retries: u32) -> Self {
        DevicePort { port, handler, retries }
    }

    /// The port, for accesses that do not ask.
    pub fn port(&mut self) -> &mut Port<S> {
        &mut self.port
    }

    /// Translates, asking for the page if need be, and runs `body` in the
    /// window: as [`Port::translate_with`], whose rules for `body` apply.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; `body` has not run.
    pub fn access<R>(
        &mut self,
        pasid: Pasid,
        addr: VirtAddr,
        access: Access,
        body: impl FnOnce(&Translation) -> R,
    ) -> Result<R, AccessError> {
        let request = PageRequest { pasid, addr, access };
        let mut body = Some(body);
        let mut resolved = 0;
        loop {
            let answer = self.port.translate_with(pasid, addr, access, |translation| {
                // Runs at most once: after it has run there is no further turn.
                body.take().map(|body| body(translation))
            });
            match answer {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => unreachable!("the body runs in the last turn only"),
                Err(fault @ Fault::TooWide { .. }) => return Err(AccessError::Unmappable(fault)),
                Err(_) if resolved == self.retries => {
                    return Err(AccessError::RetriesExhausted { request, retries: resolved });
                }
                Err(_) => match self.handler.handle(request) {
                    PageResponse::Success => resolved += 1,
                    PageResponse::Invalid => return Err(AccessError::Invalid(request)),
                    PageResponse::Failure => return Err(AccessError::Failure(request)),
                },
            }
        }
    }
}

impl<S: Source, H> fmt::Debug for DevicePort<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePort").field("retries", &self.retries).finish_non_exhaustive()
    }
}
