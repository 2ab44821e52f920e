//! Port numbers that mean something by custom.

/// Ports that speak HTTP more often than not, likeliest first.
pub const USUAL_FOR_HTTP: [u16; 14] =
    [80, 3000, 5173, 8000, 8080, 4000, 4200, 5000, 8081, 8888, 9000, 9090, 4321, 1313];

/// PostgreSQL's (IANA, Service Name and Transport Protocol Port Number Registry).
pub const POSTGRES: u16 = 5432;
