//! Messages, limits, the handshake and both sessions, through the public interface.

mod arbitrary;
mod codec;
mod common;
mod golden;
mod handshake;
mod limits;
mod push;
mod resume;
mod samples;
mod session;
mod violations;
