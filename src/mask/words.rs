//! Words that masked values are made of: common ones of many places, and no one's.

/// Given names.
pub(super) const GIVEN: [&str; 96] = [
    "Ada", "Adam", "Aisha", "Alba", "Alma", "Amir", "Ana", "Anders", "Anna", "Anton", "Ari", "Astrid", "Aya", "Beata",
    "Ben", "Bo", "Carla", "Carlos", "Chen", "Chiara", "Clara", "Dana", "Daniel", "David", "Diego", "Dora", "Edda",
    "Elena", "Eli", "Elif", "Emil", "Emma", "Enzo", "Erik", "Eva", "Fatima", "Felix", "Finn", "Frida", "Gita", "Greta",
    "Hana", "Hugo", "Ida", "Ines", "Inga", "Ivan", "Jana", "Jens", "Joana", "Jon", "Jonas", "Juan", "Julia", "Kai",
    "Karin", "Kofi", "Lara", "Lea", "Leo", "Lina", "Luca", "Lucia", "Malik", "Mara", "Marco", "Maria", "Marta", "Max",
    "Maya", "Mei", "Mia", "Milan", "Mina", "Nadia", "Nico", "Nina", "Noah", "Nora", "Olga", "Omar", "Oskar", "Paula",
    "Pavel", "Petra", "Rosa", "Ruth", "Sami", "Sara", "Sofia", "Tara", "Theo", "Tom", "Vera", "Yuki", "Zoe",
];

/// Family names.
pub(super) const FAMILY: [&str; 96] = [
    "Abe", "Adler", "Ahmed", "Alonso", "Bach", "Baker", "Bauer", "Becker", "Berg", "Bianchi", "Blanc", "Braun", "Brown",
    "Cano", "Castro", "Chan", "Clark", "Costa", "Cruz", "Dahl", "Diaz", "Diop", "Dubois", "Duran", "Eder", "Engel",
    "Evans", "Falk", "Ferri", "Fischer", "Fuchs", "Fuentes", "Garcia", "Gomez", "Gray", "Green", "Gupta", "Haas",
    "Hall", "Hansen", "Hill", "Holm", "Horvat", "Ito", "Ivanov", "Jansen", "Jones", "Kaya", "Keller", "Khan", "Kim",
    "Klein", "Koch", "Kovac", "Krause", "Kumar", "Lang", "Larsen", "Lee", "Lopez", "Lund", "Mair", "Marin", "Martin",
    "Meyer", "Moreau", "Mori", "Moser", "Nagy", "Novak", "Okafor", "Olsen", "Park", "Perez", "Petit", "Pinto", "Rao",
    "Reis", "Ricci", "Rossi", "Roth", "Ruiz", "Sato", "Silva", "Singh", "Smith", "Sousa", "Stein", "Suzuki", "Tanaka",
    "Thomas", "Torres", "Vogel", "Weber", "Wolf", "Yilmaz",
];

/// Streets.
pub(super) const STREETS: [&str; 24] = [
    "Acorn Lane", "Birch Road", "Bridge Street", "Cedar Avenue", "Chapel Lane", "Church Road", "Elm Street",
    "Field Way", "Garden Row", "Hill Road", "Juniper Way", "Lake Street", "Lime Grove", "Maple Avenue", "Mill Lane",
    "Oak Street", "Orchard Way", "Park Row", "Pine Road", "River Walk", "School Lane", "Spring Street", "Station Road",
    "Willow Way",
];

/// Places that nobody lives in.
pub(super) const PLACES: [&str; 16] = [
    "Ashby", "Brookford", "Cliffton", "Dunmore", "Eastvale", "Fairhaven", "Glenwood", "Harborough", "Kingsmere",
    "Lakefield", "Millbrook", "Northam", "Oakridge", "Riverton", "Southwick", "Westbury",
];

/// Words for free text, one or more of each length.
pub(super) const FILLER: [&str; 40] = [
    "a", "et", "in", "ut", "sed", "non", "est", "cum", "quis", "amet", "enim", "nisi", "dolor", "lorem", "ipsum",
    "magna", "veniam", "tempor", "labore", "mollit", "nostrud", "eiusmod", "aliquip", "commodo", "pariatur", "voluptas",
    "deserunt", "eligendi", "consequat", "cupidatat", "excepteur", "voluptate", "adipiscing", "incididunt",
    "doloremque", "consectetur", "repellendus", "exercitation", "necessitatibus", "reprehenderit",
];
