//! HTTP/1.1 as gateways speak it. Bytes in, values out, all under limits; nothing
//! here panics.
//!
//! [`head`] and [`response`] read what comes, [`request`] is what is sent,
//! [`lan_url`] where to.

pub mod head;
pub mod lan_url;
pub mod request;
pub mod response;

pub use head::{Head, HttpError, MAX_FIELDS, MAX_HEAD, head_is_complete};
pub use response::{Response, ResponseReader};
