//! What goes wrong on a GPU, told apart and in words.

use std::sync::{Arc, Mutex, PoisonError};

use tensor::{Error, Result};

/// What wgpu reported while nobody was asking, until somebody does.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    lost: Option<String>,
    failed: Option<String>,
}

impl Reports {
    /// Lets the device tell its losses and errors to these reports.
    pub fn listen(&self, device: &wgpu::Device) {
        let reports = self.clone();
        device.set_device_lost_callback(move |reason, words| {
            let why = match reason {
                wgpu::DeviceLostReason::Destroyed => "it was given back".to_owned(),
                wgpu::DeviceLostReason::Unknown if words.is_empty() => {
                    "the driver does not say why".to_owned()
                }
                wgpu::DeviceLostReason::Unknown => words,
            };
            reports.lock().lost.get_or_insert(why);
        });
        let reports = self.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            reports.lock().failed.get_or_insert(error.to_string());
        }));
    }

    /// What has been reported, as an error. A lost device stays lost.
    pub fn check(&self) -> Result<()> {
        let mut told = self.lock();
        if let Some(why) = &told.lost {
            return Err(Error::new(format!(
                "the GPU was lost ({why}); what was saved before is unharmed, and a new start can go on from there"
            )));
        }
        match told.failed.take() {
            Some(what) => Err(Error::new(format!("the GPU refused a command: {what}"))),
            None => Ok(()),
        }
    }

    /// Keeps the reason why a device is of no use any more.
    pub fn lose(&self, why: impl Into<String>) {
        self.lock().lost.get_or_insert(why.into());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `make` and catches the errors of these kinds that it leaves.
pub(crate) fn caught<T>(
    device: &wgpu::Device,
    kinds: &[wgpu::ErrorFilter],
    make: impl FnOnce() -> T,
) -> Result<T, String> {
    let scopes: Vec<_> = kinds.iter().map(|kind| device.push_error_scope(*kind)).collect();
    let made = make();
    let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
    match errors.last() {
        Some(error) => Err(error.to_string()),
        None => Ok(made),
    }
}
