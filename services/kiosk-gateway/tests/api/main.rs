//! The kiosk API from outside: real HTTP messages through the whole application, gRPC services faked behind real sockets.

mod answers;
mod document;
mod errors;
mod fakes;
mod kiosk;
mod serving;
mod views;
