//! Genuine MMU notifiers for this process: every KVM machine registers one on
//! the address space of whoever made it (`kvm_init_mmu_notifier`,
//! virt/kvm/kvm_main.c). No guest runs in it and it has no memory slots.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `_IO(KVMIO, 0x01)` of include/uapi/linux/kvm.h.
const KVM_CREATE_VM: libc::c_ulong = 0xAE01;

/// The device.
pub struct Kvm(File);

/// Opens the device.
///
/// # Errors
///
/// Why there are no notifiers to be had.
pub fn open() -> Result<Kvm, String> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map(Kvm)
        .map_err(|error| format!("/dev/kvm: {error}"))
}

impl Kvm {
    /// A machine: a notifier, until the result is dropped.
    ///
    /// # Errors
    ///
    /// What the system refused.
    pub fn create_vm(&self) -> Result<OwnedFd, String> {
        // SAFETY: the call takes an integer and touches no memory of ours.
        let machine = unsafe { libc::ioctl(self.0.as_raw_fd(), KVM_CREATE_VM as _, 0) };
        if machine < 0 {
            return Err(Error::last_os_error().to_string());
        }
        // SAFETY: a descriptor that was made for us just now.
        Ok(unsafe { OwnedFd::from_raw_fd(machine) })
    }
}
