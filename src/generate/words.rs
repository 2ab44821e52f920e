//! Words that generated values are made of: common ones of many places, and no one's.

pub(super) const GIVEN: [&str; 64] = [
    "Ada", "Adam", "Aisha", "Alba", "Amir", "Ana", "Anders", "Anna", "Anton", "Astrid", "Aya", "Ben",
    "Carla", "Carlos", "Chen", "Chiara", "Clara", "Daniel", "David", "Diego", "Elena", "Eli", "Elif", "Emil",
    "Emma", "Enzo", "Erik", "Eva", "Fatima", "Felix", "Finn", "Greta", "Hana", "Hugo", "Ida", "Ines", "Ivan",
    "Jana", "Jonas", "Juan", "Julia", "Kai", "Kofi", "Lara", "Leo", "Lina", "Luca", "Malik", "Maria", "Max",
    "Maya", "Mei", "Mia", "Milan", "Nadia", "Nina", "Noah", "Nora", "Omar", "Paula", "Rosa", "Sara", "Theo",
    "Yuki",
];

pub(super) const FAMILY: [&str; 64] = [
    "Abe", "Adler", "Ahmed", "Alonso", "Bach", "Baker", "Bauer", "Becker", "Berg", "Bianchi", "Blanc",
    "Brown", "Castro", "Chan", "Clark", "Costa", "Cruz", "Dahl", "Diaz", "Diop", "Dubois", "Evans",
    "Fischer", "Garcia", "Gomez", "Gray", "Green", "Gupta", "Haas", "Hansen", "Hill", "Holm", "Ito",
    "Ivanov", "Jones", "Kaya", "Khan", "Kim", "Klein", "Koch", "Kovac", "Kumar", "Larsen", "Lee", "Lopez",
    "Lund", "Martin", "Meyer", "Moreau", "Mori", "Nagy", "Novak", "Okafor", "Olsen", "Park", "Perez",
    "Rossi", "Sato", "Silva", "Singh", "Smith", "Tanaka", "Weber", "Yilmaz",
];

pub(super) const STREETS: [&str; 16] = [
    "Acorn Lane",
    "Birch Road",
    "Bridge Street",
    "Cedar Avenue",
    "Chapel Lane",
    "Elm Street",
    "Field Way",
    "Garden Row",
    "Hill Road",
    "Lake Street",
    "Lime Grove",
    "Mill Lane",
    "Oak Street",
    "Orchard Way",
    "Pine Road",
    "Station Road",
];

pub(super) const COUNTRIES: [&str; 12] = [
    "Austria", "Brazil", "Canada", "France", "Germany", "India", "Italy", "Japan", "Kenya", "Norway",
    "Spain", "Sweden",
];

pub(super) const COUNTRY_CODES: [&str; 12] =
    ["AT", "BR", "CA", "FR", "DE", "IN", "IT", "JP", "KE", "NO", "ES", "SE"];

pub(super) const CURRENCIES: [&str; 8] = ["EUR", "USD", "GBP", "JPY", "CHF", "SEK", "BRL", "INR"];

pub(super) const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "it", "pt", "ja", "sv"];

pub(super) const COLOURS: [&str; 8] = ["red", "green", "blue", "black", "white", "amber", "teal", "violet"];

pub(super) const STATES: [&str; 6] = ["new", "active", "pending", "done", "paused", "closed"];

pub(super) const WORDS: [&str; 64] = [
    "amber", "anchor", "apple", "arrow", "basin", "birch", "bloom", "brook", "cabin", "candle", "canyon",
    "cedar", "cloud", "cobalt", "copper", "coral", "crane", "delta", "ember", "fable", "falcon", "field",
    "flint", "forest", "garden", "glass", "grove", "harbor", "hazel", "island", "ivory", "jasper", "juniper",
    "lantern", "lemon", "linen", "maple", "meadow", "mirror", "north", "ocean", "olive", "orbit", "paper",
    "pebble", "pine", "planet", "quartz", "raven", "river", "saddle", "sierra", "silver", "stone", "summit",
    "thunder", "timber", "tulip", "valley", "velvet", "violet", "walnut", "willow", "winter",
];
