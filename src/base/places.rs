//! Places that lie nowhere, for rows that are generated and for those that are masked.

/// Cities.
pub const PLACES: [&str; 16] = [
    "Ashby",
    "Brookford",
    "Cliffton",
    "Dunmore",
    "Eastvale",
    "Fairhaven",
    "Glenwood",
    "Harborough",
    "Kingsmere",
    "Lakefield",
    "Millbrook",
    "Northam",
    "Oakridge",
    "Riverton",
    "Southwick",
    "Westbury",
];
