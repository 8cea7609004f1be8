//! mallctl
