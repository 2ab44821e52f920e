//! What a column's name says in the table that it stands in.

use super::table::{Context, ORGANISATIONS, PEOPLE, is_in};
use super::{Found, personal, secret};
use crate::mask::policy::Make;
use crate::mask::scan::Tier;
use crate::mask::table::Kind;

/// Behind the name of something personal, these make it a matter of fact about that.
const ABOUT: &str = "at on count type kind status state flag verified confirmed enabled disabled sent required expires \
    expiry expired expire expiration format length template subject limit policy provider method domain visible \
    visibility allowed optin opt subscribed notification preference valid validated validity position index size width \
    height max min attempt retry failed day hour minute second interval timeout ttl version algorithm algo mode level \
    group category prefix suffix changed updated created modified last_changed uid uuid total sum rate usage used uses \
    per class field column list setting config action event process checked check encoding priority rule strength \
    mandatory duration frequency period scope engine driver_class plugin charset color colour icon pattern mask regex \
    queue importance url_template footer header signature_template theme style theme style layout locale language lang timezone";

/// A column's name in its table.
pub(super) struct Name<'a> {
    pub(super) words: Vec<String>,
    pub(super) kind: Kind,
    pub(super) context: &'a Context,
    /// Whether it is what rows are referred to by, or refers to others.
    pub(super) key: bool,
}

impl Name<'_> {
    pub(super) fn any(&self, list: &str) -> bool {
        self.words.iter().any(|word| is_in(list, word))
    }

    fn first(&self, list: &str) -> bool {
        self.words.first().is_some_and(|word| is_in(list, word))
    }

    /// The last word that is not a number.
    fn head(&self) -> &str {
        let last = self.words.iter().rev().find(|word| !word.chars().all(|c| c.is_ascii_digit()));
        last.map_or("", String::as_str)
    }

    fn pair(&self, a: &str, b: &str) -> bool {
        self.words.windows(2).any(|pair| is_in(a, &pair[0]) && is_in(b, &pair[1]))
    }

    fn is(&self, list: &str) -> bool {
        let words: Vec<&String> =
            self.words.iter().filter(|word| !word.chars().all(|c| c.is_ascii_digit())).collect();
        words.len() == 1 && is_in(list, words[0])
    }

    fn texts(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Other)
    }

    /// Only says something about what it names: `email_verified`, `phone_count`.
    fn is_about(&self) -> bool {
        is_in(ABOUT, self.head())
            || self.first("is has can should allow enable disable show hide use require send num number_of max min total \
                count last_check default")
    }

    pub(super) fn secret(&self) -> Option<Found> {
        let holds = matches!(self.kind, Kind::Text | Kind::Other | Kind::Bytes | Kind::Uuid | Kind::Json);
        if !holds || (self.is_about() && !self.any("hint")) {
            return None;
        }
        let found = |class: &'static str, sure: f32| {
            Some(secret(class, sure, format!("named {}", self.words.join(" "))))
        };
        if self.any("password passwd passwort pwd passphrase passcode contrasena senha kennwort pswd userpassword wachtwoord \
            motdepasse mdp psw") {
            return found("password", 0.97);
        }
        if self.head() == "pass"
            && (self.words.len() == 1
                || self.any(
                    "db smtp user login auth admin ftp http proxy mail imap \
            account root sftp bind",
                ))
        {
            return found("password", 0.9);
        }
        if self.any("secret") && !self.any("santa question_type") {
            return found("secret", 0.93);
        }
        if self.any("token jwt csrf otp totp hotp")
            && !self.key
            && !self.any("type name symbol contract address budget usage")
            && self.head() != "id"
        {
            return found("token", 0.92);
        }
        let opens = "api private access encryption signing ssh auth session recovery master decryption license licence \
            activation service secret server client admin webhook stream psk pgp gpg consumer application app deploy";
        if self.pair(opens, "key") && self.head() == "key" && !self.any("public object column") {
            return found("key", 0.9);
        }
        let pushed = self.is("auth p256dh") && self.context.has("subscription push");
        if pushed || self.pair("hashed encrypted", "key") {
            return found("key", 0.85);
        }
        if self.any("psk apikey privatekey secretkey accesskey keytab authkey") && !self.any("identity") {
            return found("key", 0.9);
        }
        let opening = "verification otp security access reset recovery backup auth authorization pickup door gate \
            invite invitation confirmation activation unlock pin sms login cvv cvc mfa lock entry alarm redeem \
            claim pairing validation voice";
        if self.pair(opening, "code challenge verifier") && !self.any("error status") {
            return found("code", 0.85);
        }
        if self.pair("code", "challenge verifier")
            || self.is("pin cvv cvc cvv2 salt nonce cookie otp credential puk")
        {
            return found("code", 0.85);
        }
        if self.any("salt credential keystore") && !self.key && self.head() != "id" {
            return found("credential", 0.8);
        }
        if (self.head() == "session"
            || (self.any("session") && matches!(self.head(), "id" | "key" | "hash" | "data" | "cookie")))
            && self.kind == Kind::Text
            && !self.key
        {
            return found("session", 0.8);
        }
        if self.pair("connection", "string uri url")
            || self.is("dsn")
            || self.pair("database db", "url uri dsn")
        {
            return found("connection with its password", 0.8);
        }
        if self.pair("security secret", "question answer") || self.pair("answer", "hash") {
            return found("answer", 0.85);
        }
        if self.pair("private pem", "pem cert certificate") {
            return found("key", 0.85);
        }
        // What a table of credentials or sessions is for.
        if self.context.credentials
            && !self.key
            && (self.is("key hash value secret digest verifier code challenge token_hash data raw")
                || self.any("hash"))
            && self.texts()
        {
            return found("credential", 0.8);
        }
        if self.context.session
            && self.context.words.last().is_some_and(|last| last == "session")
            && self.kind == Kind::Text
            && self.is("id sid sess key payload data hash value cookie")
        {
            return found("session", 0.8);
        }
        None
    }

    pub(super) fn direct(&self) -> Option<Found> {
        let named = || format!("named {}", self.words.join(" "));
        let text = self.texts() || self.kind == Kind::Json;
        let about = self.is_about();
        let table = self.context;
        if (self.any("email courriel mel") || self.pair("correo", "electronico") || self.is("mail correo"))
            && text
            && !about
            && !matches!(
                self.head(),
                "id" | "body" | "content" | "text" | "html" | "name" | "title" | "code" | "key" | "job"
            )
        {
            return Some(personal("email", Make::Email, 0.95, named()));
        }
        let numeric = matches!(self.kind, Kind::Integer | Kind::Number);
        if self.any("phone telephone mobile cellphone fax telefon telefono telefone tel msisdn handy movil whatsapp pager \
            telefax telefoon gsm portable landline celular phonenumber rufnummer handynummer telefonnummer faxnummer telno")
            && (text || numeric)
            && !about
            && !matches!(self.head(), "id" | "model" | "name" | "os" | "device" | "app" | "carrier" | "brand" | "code" | "url")
            && !(self.any("portable mobile") && self.words.len() == 1 && !table.person)
        {
            return Some(personal("telephone", Make::Phone, 0.93, named()));
        }
        let beside = table.person || self.any(PEOPLE) || self.any("home work emergency primary");
        if self.head() == "cell" && text && beside {
            return Some(personal("telephone", Make::Phone, 0.8, named()));
        }
        if let Some(found) = self.birth() {
            return Some(found);
        }
        if let Some(found) = self.number(about) {
            return Some(found);
        }
        if let Some(found) = self.person_name(about) {
            return Some(found);
        }
        if let Some(found) = self.place(about) {
            return Some(found);
        }
        self.network(about).or_else(|| self.special(about))
    }

    fn birth(&self) -> Option<Found> {
        let words = self.any(
            "dob birthdate birthday born geburtsdatum geboren naissance nacimiento nascita nascimento \
            geboortedatum birthplace geburtstag geburtsort birthyear",
        ) || self
            .pair("birth", "date day year month place city country town location time at name")
            || self.pair("date day year place of", "birth")
            || (self.any("of") && self.any("birth"))
            || self.is("birth");
        let fits = matches!(self.kind, Kind::Date | Kind::Time | Kind::Text | Kind::Integer | Kind::Other);
        (words && fits && !self.any("certificate_type rate count")).then(|| {
            let make = if self.kind == Kind::Text { Make::Form } else { Make::Date(30) };
            personal("birth", make, 0.93, format!("named {}", self.words.join(" ")))
        })
    }

    /// Numbers that authorities, banks and others give to persons.
    fn number(&self, about: bool) -> Option<Found> {
        let fits = matches!(self.kind, Kind::Text | Kind::Integer | Kind::Number | Kind::Other);
        if !fits || (about && !self.any("ssn iban")) {
            return None;
        }
        let named = format!("named {}", self.words.join(" "));
        let numbers = self.any("ssn nif nie dni cpf curp nino aadhaar aadhar bsn cedula pesel egn personnummer sin_number \
            steuernummer steuerid codicefiscale fiscalcode nhs medicare medicaid tin ein_number itin sozialversicherungsnummer \
            personalausweis ausweisnummer inn snils cnp oib jmbg rut rfc nric hkid mrn svnr ahv")
            || self.pair("social", "security insurance")
            || self.pair("national", "id identity identification number insurance")
            || self.pair("identity identification personal citizen", "number card code no document")
            || self.pair("id identity", "document number card")
            || self.pair("passport visa", "number no id nr")
            || self.is("passport")
            || (self.any("driver driving drivers") && self.any("license licence"))
            || self.pair("codice", "fiscale")
            || self.pair("insurance policy", "number no holder_number")
            || self.pair("health medical patient member", "number record card")
            || (self.is("vat") && self.context.person)
            || (self.pair("tax taxpayer fiscal vat", "id number no code identifier identification") && !self.any("rate class category"))
            || (self.pair("license licence", "number no plate") && (self.context.person || self.any("plate")))
            || self.pair("number registration", "plate");
        if numbers && !(self.key && self.kind != Kind::Text) {
            return Some(personal("number of a person", Make::Form, 0.85, named));
        }
        let banking = self.any("bank")
            || self.context.person
            || self.context.has("bank payment account payout transfer beneficiary payee debit donor mandate");
        if self.any("iban")
            || (self.pair("account acct", "number no nr num holder") && banking && self.kind != Kind::Other)
            || (self.pair("bank", "account") && !self.key && self.head() != "id")
        {
            return Some(personal("bank account", Make::Form, 0.85, named));
        }
        if (self.pair("card", "number no num pan")
            || self.pair("credit debit", "card") && !self.key && !self.any("type brand id"))
            || self.pair("cc", "number num no")
            || self.is("pan")
            || self.pair("card cc", "last 4")
        {
            return Some(personal("card", Make::Card, 0.88, named));
        }
        if self.any("imei imsi iccid idfa gaid vin") && self.words.len() <= 2
            || self.pair("advertising", "id")
        {
            return Some(personal("device", Make::Form, 0.75, named));
        }
        if self.any("salary wage income payroll gehalt salaire salario")
            && !self.key
            && (self.context.person || self.words.len() <= 2)
            && !self.any("grade range band type min max currency")
        {
            return Some(personal("income", Make::Noise(10), 0.7, named));
        }
        None
    }

    fn person_name(&self, about: bool) -> Option<Found> {
        if !self.texts() || about || self.key {
            return None;
        }
        let named = || format!("named {}", self.words.join(" "));
        let table = self.context;
        let quasi = |class| {
            Some(Found {
                tier: Tier::Quasi,
                class,
                make: None,
                sure: 0.5,
                why: format!("public persons: {}", named()),
            })
        };
        let made_of = |a: &str| self.pair(a, "name nm");
        let given = made_of("first given fore christian middle")
            || self.any(
                "firstname forename givenname prenom vorname \
            voornaam middlename fname rufname",
            );
        let family = made_of("last family maiden second sur")
            || self.any(
                "lastname surname lname familyname apellido \
            nachname familienname cognome sobrenome achternaam patronymic maidenname geburtsname",
            );
        if given || family {
            if table.public {
                return quasi("name");
            }
            let make = if given { Make::GivenName } else { Make::FamilyName };
            return Some(personal("name", make, 0.95, named()));
        }
        if table.person && self.is("first given middle last family maiden fn ln mi initial nom nome naam") {
            let make = if self.is("last family maiden ln nom") { Make::FamilyName } else { Make::GivenName };
            return Some(personal("name", make, 0.85, format!("{} in a table of persons", named())));
        }
        if self.any("username loginname accountname userid_text benutzername logon screenname")
            || self.is("login logon handle nickname nick uname userlogin nicename")
            || (self.pair("login", "id name") && self.kind == Kind::Text)
            || self.pair("user", "nicename")
            || made_of("screen nick login logon")
            || self.pair("user login", "login handle")
            || (self.is("alias") && table.person)
        {
            return Some(personal("name to log in", Make::Username, 0.9, named()));
        }
        let before = |list: &str| {
            let words =
                self.words.iter().filter(|word| !word.chars().all(|c| c.is_ascii_digit()) && *word != "to");
            words.clone().zip(words.skip(1)).any(|(before, name)| name == "name" && is_in(list, before))
        };
        if made_of("full display real legal preferred")
            && (table.person
                || self.any(PEOPLE)
                || made_of("full legal real")
                || table.has("account profile"))
        {
            let sure = if table.organisation { 0.6 } else { 0.9 };
            return Some(personal("name", Make::Name, sure, named()));
        }
        if before(PEOPLE)
            && !before("lead profile rep carrier")
            && !self.any("company group role project file")
        {
            return Some(personal("name", Make::Name, 0.9, named()));
        }
        if before("ship shipping billing bill delivery recipient invoice")
            || self.pair("name on of", "card account")
        {
            return Some(personal("name", Make::Name, 0.8, named()));
        }
        if self
            .any("cardholder nextofkin signee attn attention fullname username beneficiary payee signatory")
            && !self.any("id type")
        {
            return Some(personal("name", Make::Name, 0.8, named()));
        }
        if self.is("contact recipient assignee reporter requester guardian spouse father mother insured emergency applicant \
            salesperson doctor physician teacher landlord") || self.pair("contact emergency", "person contact")
        {
            return Some(personal("name", Make::Name, 0.7, named()));
        }
        let folded = self.pair("lower normalized normalised sort", "name") && self.words.len() == 2;
        if (folded || self.is("name nombre nom naam")) && table.person && !table.organisation {
            return Some(personal("name", Make::Name, 0.88, format!("{} in a table of persons", named())));
        }
        if self.words.first().is_some_and(|word| word == "name")
            && table.person
            && self.words.len() == 2
            && !self.any("id code lower slug key")
        {
            return Some(personal("name", Make::Name, 0.7, format!("{} in a table of persons", named())));
        }
        None
    }

    fn place(&self, about: bool) -> Option<Found> {
        if about || self.key {
            return None;
        }
        let named = || format!("named {}", self.words.join(" "));
        let table = self.context;
        let of_person = table.person
            || table.dealing
            || self.any(PEOPLE)
            || self.any(
                "home shipping billing delivery ship \
            bill postal residential mailing street line",
            );
        let organisation = !self.any(PEOPLE)
            && (table.organisation && !table.dealing
                || self.any(ORGANISATIONS)
                || self.any("contract wallet_contract"));
        if self.texts() || self.kind == Kind::Json {
            let lines = self.pair("address addr street adresse", "line") || self.any("address addr street adresse anschrift \
                strasse straße direccion indirizzo endereco adres domicile domicilio logradouro calle via_nome hausnummer \
                streetaddress addressline straat rue")
                || self.pair("house apartment building flat street", "number no nr unit")
                || (self.is("line") && table.has("address"));
            let other = self.any("ip mac memory email web url network contract token bucket wallet server host start end \
                source destination device port http smtp byte pool queue i2c bus physical virtual node remote bind listen wallet \
                ethereum bitcoin blockchain deposit") && !self.any("public");
            let other = other || table.has("wallet coin blockchain contract");
            if lines && !other && self.head() != "id" && self.head() != "name_type" {
                if table.geography {
                    return None;
                }
                // Of small ones it is where their owner lives.
                let sure = if organisation && !of_person { 0.6 } else { 0.88 };
                return Some(personal("address", Make::Street, sure, named()));
            }
        }
        let code = self
            .any("zip postcode plz zipcode postalcode cep codepostal postleitzahl pincode eircode")
            || self.pair("zip postal post", "code zone")
            || self.pair("code codigo", "postal");
        if code && !table.geography && matches!(self.kind, Kind::Text | Kind::Integer | Kind::Other) {
            return Some(personal("postal code", Make::Form, 0.85, named()));
        }
        let spot = self
            .is("latitude longitude lat lng lon long geo geom coordinate gps geolocation latlng location \
            geohash")
            || self.any("latitude longitude geolocation gps coordinate")
            || self.head() == "lat"
            || self.head() == "lng";
        let exact = matches!(
            self.kind,
            Kind::Number | Kind::Place | Kind::Text | Kind::Json | Kind::Other | Kind::Integer
        );
        let whose = table.person
            || self.any(PEOPLE)
            || self.any("home last current pickup dropoff delivery")
            || table.has("address trip ride track checkin");
        if spot
            && exact
            && whose
            && !table.geography
            && !(self.kind == Kind::Text && self.is("location"))
            && !table.organisation
        {
            return Some(personal("exact place", Make::Noise(1), 0.75, named()));
        }
        let quasi = self.any(
            "city town village country state province region county district hometown nationality \
            suburb ort stadt ville ciudad",
        );
        if quasi && self.texts() {
            return Some(Found { tier: Tier::Quasi, class: "place", make: None, sure: 0.5, why: named() });
        }
        None
    }

    fn network(&self, about: bool) -> Option<Found> {
        let fits = matches!(self.kind, Kind::Address | Kind::Text);
        let ip = self.any("ip ipaddress ipaddr remoteip clientip ipv4 ipv6")
            || self.pair("remote client", "addr address host");
        if !fits
            || !ip
            || about
            || self.key
            || self.any(
                "interface server gateway dns netmask allowed whitelist blacklist block host range \
            bind public_ip router subnet vpn",
            )
        {
            return None;
        }
        let table = self.context;
        let whose = table.person || table.trace || table.session || table.message || table.dealing
            || self.any("user client remote login sign signin signup visitor customer created updated last registration current sender")
            || self.any(PEOPLE);
        let server =
            table.has("host server node interface device network router proxy cluster machine instance");
        (whose && !server).then(|| {
            personal("network address", Make::Network, 0.8, format!("named {}", self.words.join(" ")))
        })
    }

    /// What the law gives special care (GDPR, article 9), pictures, and what people say about themselves.
    fn special(&self, about: bool) -> Option<Found> {
        let letter = table_of_letters(self.context, self);
        if (about && !self.any("blood") && !letter) || self.key {
            return None;
        }
        let named = || format!("named {}", self.words.join(" "));
        let table = self.context;
        let text = self.texts() || matches!(self.kind, Kind::Json | Kind::Choice);
        if self.pair("party political", "affiliation") && text {
            return Some(personal("special category", Make::Text, 0.75, named()));
        }
        if self.any("religion ethnicity race_ethnicity ethnic sexuality sexual diagnosis diagnose disease allergy illness \
            disability medication biometric fingerprint_template genome dna religious caste blood hiv pregnancy psychiatric \
            symptom immunization vaccination krankheit konfession")
            && (text || self.kind == Kind::Bytes)
            && !self.any("code_system type_id")
            && (table.person || table.has("patient medical health visit encounter record prescription appointment clinical case") || self.any("religion ethnicity sexual"))
        {
            return Some(personal("special category", Make::Text, 0.8, named()));
        }
        if self.is("race") && table.person && text {
            return Some(personal("special category", Make::Text, 0.7, named()));
        }
        if self.is("gender sex geschlecht sexe sexo genero pronoun") && table.person {
            return Some(Found { tier: Tier::Quasi, class: "gender", make: None, sure: 0.5, why: named() });
        }
        let picture = self.any("photo picture portrait selfie headshot foto avatar signature mugshot face")
            && !self.any("id")
            && (matches!(self.kind, Kind::Bytes | Kind::Text) || self.kind == Kind::Other);
        if picture && (table.person || self.any(PEOPLE)) {
            return Some(personal("picture", Make::Null, 0.8, named()));
        }
        if self.any("twitter facebook linkedin instagram skype telegram discord snapchat wechat tiktok github xing icq jabber msn aim")
            && table.person
            && text
            && !self.any("id_type token")
        {
            return Some(personal("account elsewhere", Make::Form, 0.75, named()));
        }
        if table.person
            && !table.organisation
            && self.is("bio biography about note remark memo comment resume cv interest aboutme")
            && self.texts()
        {
            return Some(personal("text about a person", Make::Text, 0.7, named()));
        }
        if table.message
            && self.is("body text content message subject plaintext html snippet preview payload")
            && text
        {
            return Some(personal(
                "message",
                Make::Text,
                0.75,
                format!("{} in a table of messages", named()),
            ));
        }
        let letter = self.any("message")
            && self.any("private personal direct customer gift user chat")
            && text
            && !matches!(self.head(), "id" | "type");
        if letter {
            return Some(personal("message", Make::Text, 0.7, named()));
        }
        if self.kind == Kind::Json
            && (table.person || self.pair("identity person user profile contact customer", "data"))
            && (self.pair("meta user profile personal identity contact customer", "data")
                || self.any("metadata identity profile personal"))
            && self.any("user identity profile personal raw contact customer")
        {
            return Some(personal(
                "data about a person",
                Make::Json { paths: Vec::new(), rest: crate::mask::policy::Rest::Text },
                0.7,
                named(),
            ));
        }
        None
    }
}

/// The subject of a letter is part of it.
fn table_of_letters(context: &Context, name: &Name<'_>) -> bool {
    context.message && name.is("subject")
}
