//! The judgement on one column. Rules of language and of standards, none of any particular database.

use super::name::words;
use super::value::{Forms, forms};
use super::{Tier, Verdict};
use crate::mask::policy::Make;
use crate::mask::table::{Kind, Table};

/// What people are called by the tables that list them; other languages of Europe too.
const PEOPLE: &str = "account_holder actor_user administrator admin adult applicant approver assignee attendee author \
    barber beneficiary borrower buyer caller candidate cardholder caregiver carrier_contact child citizen client coach \
    colleague constituent consumer contact contractor coordinator courier crew customer debtor dependent director_user \
    doctor donor driver employee employer_contact enrollee family_member father fan friend graduate guardian guest \
    holder household individual informant inhabitant insured instructor interviewee invitee kin landlord lead learner \
    lender librarian lodger manager member minor mother nurse occupant operator owner parent participant partner \
    passenger patient payee payer people person personnel persona physician player prisoner profile provider_contact \
    pupil recipient referee referrer relative rep reporter representative requester resident respondent reviewer rider \
    sailor salesman salesperson seller sender shopper sibling signatory signer sitter soldier spouse staff student \
    subscriber suspect supervisor supporter teacher technician tenant_contact tourist trainee trainer traveler traveller \
    tutor user victim pilot captain officer chairman secretary treasurer judge lawyer attorney therapist dentist \
    husband wife son daughter brother sister bride groom visitor volunteer voter witness worker \
    benutzer kunde mitarbeiter patientin schueler mitglied ansprechpartner nutzer utilisateur salarie employe eleve \
    membre adherent usuario cliente empleado paciente alumno persona socio utente dipendente paziente funcionario aluno \
    pessoa medewerker klant gebruiker attn poc";

/// Persons whose names are public by what they do.
const PUBLIC: &str =
    "actor artist author cast composer creator_credit director character singer musician band writer";

/// What is no person although somebody may be behind it.
const ORGANISATIONS: &str = "airline airport association bank branch brand business charity chapter clinic club \
    company corporation department dealer distributor division employer factory firm foundation hospital hotel \
    institution manufacturer merchant office org organisation organization publisher restaurant school shipper shop \
    store studio supplier team tenant university vendor venue warehouse workspace";

/// Tables that keep where or when somebody was.
const TRACES: &str = "access activity audit auth click comment connection consent event history hit impression log \
    login mfa challenge factor order request session signin track traffic view visit vote";

/// Behind the name of something personal, these make it a matter of fact about that.
const ABOUT: &str = "at on count type kind status state flag verified confirmed enabled disabled sent required expires \
    expiry expired expire expiration format length template subject limit policy provider method domain visible \
    visibility allowed optin opt subscribed notification preference valid validated validity position index size width \
    height max min attempt retry failed day hour minute second interval timeout ttl version algorithm algo mode level \
    group category prefix suffix changed updated created modified last_changed uid uuid total sum rate usage used uses \
    per class field column list setting config action event process checked check encoding priority rule strength \
    mandatory duration frequency period scope engine driver_class plugin charset color colour icon pattern mask regex \
    queue importance url_template footer header signature_template theme style theme style layout locale language lang timezone";

fn is_in(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// What a table says about its columns.
pub(super) struct Context {
    words: Vec<String>,
    /// It lists persons.
    pub(super) person: bool,
    /// It lists persons whose names are public.
    public: bool,
    /// It lists companies and the like.
    organisation: bool,
    /// It says what somebody did, and when.
    trace: bool,
    /// It lists sessions.
    session: bool,
    /// It holds what somebody wrote to somebody.
    message: bool,
    /// It lists keys, tokens or other credentials.
    credentials: bool,
    /// It lists cities, countries and the like.
    geography: bool,
    /// It is about orders, bookings and other things that somebody is named in.
    dealing: bool,
}

impl Context {
    pub(super) fn of(table: &Table) -> Self {
        let mut words = words(&table.name);
        // `t_user`, `user_tbl`, `users_2024`.
        words.retain(|word| {
            !["t", "tb", "tbl", "table", "dim", "fact", "app", "core"].contains(&word.as_str())
        });
        let last = words.iter().rev().find(|word| !word.chars().all(|c| c.is_ascii_digit())).cloned();
        let last = last.unwrap_or_default();
        let any = |list: &str| words.iter().any(|word| is_in(list, word));
        let detail = is_in(
            "profile detail info information data account identity address contact record master \
            registration invitation metadata meta biography bio resume personal declaration application",
            &last,
        );
        let names: Vec<Vec<String>> = table.columns.iter().map(|column| self::words(&column.name)).collect();
        let column = |a: &str, b: &str| {
            names.iter().any(|words| words.windows(2).any(|pair| pair[0] == a && pair[1] == b))
                || names.iter().any(|words| words.len() == 1 && words[0] == format!("{a}{b}"))
        };
        let one = |list: &str| names.iter().any(|words| words.iter().any(|word| is_in(list, word)));
        let named = (column("first", "name") && column("last", "name"))
            || column("given", "name")
            || one(
                "surname firstname lastname prenom vorname nachname apellido cognome sobrenome achternaam",
            )
            || (column("birth", "date") || column("date", "birth") || one("dob birthdate birthday"));
        let login =
            is_in("account login identity", &last) && one("password passwd") && one("username login email");
        // A program that asks in the name of somebody is no person.
        let program = last == "client" && one("redirect secret scope grant uri protocol");
        let public = is_in(PUBLIC, &last);
        let organisation = is_in(ORGANISATIONS, &last) || (any(ORGANISATIONS) && !is_in(PEOPLE, &last));
        let person =
            !public && !program && (is_in(PEOPLE, &last) || (detail && any(PEOPLE)) || named || login);
        let credentials = last == "credential"
            || is_in("password factor totp mfa otp", &last)
            || (last == "code" && any("authorization auth verification reset recovery invitation mfa otp"))
            || (is_in("token secret key keypair credential", &last)
                && (words.len() == 1 && last != "key"
                    || any(
                        "api access auth refresh reset verification recovery session personal oauth service private \
                        secret credential client remember password push ssh jwt bearer invite invitation mfa otp",
                    )));
        Self {
            person,
            public,
            organisation: organisation && !named,
            trace: any(TRACES),
            session: words.iter().any(|word| word == "session"),
            message: is_in(
                "message chat conversation sms inbox mail dm pm mailbox letter email correspondence",
                &last,
            ) && !any("template setting config type log queue broker error commit"),
            credentials,
            geography: is_in(
                "city country region state province district county continent zone timezone airport \
                location_type territory language currency",
                &last,
            ) && !any(PEOPLE),
            dealing: any(
                "order invoice booking reservation shipment delivery payment purchase sale checkout cart quote \
                rental ticket claim prescription appointment donation subscription transaction address shipping billing \
                bill parcel loan contract policyholder policy lease enrollment application registration rsvp",
            ),
            words,
        }
    }

    fn has(&self, list: &str) -> bool {
        self.words.iter().any(|word| is_in(list, word))
    }
}

/// What a name in a JSON document says.
pub(super) fn of_key(key: &str) -> Option<Make> {
    let table = Table { name: "user".to_owned(), ..Table::default() };
    let context = Context::of(&table);
    let column = Name { words: words(key), kind: Kind::Text, context: &context, key: false };
    let found = column.secret().or_else(|| column.direct())?;
    found.sure.gt(&0.65).then(|| found.make.unwrap_or(Make::Form))
}

/// What was found, before anything speaks against it.
struct Found {
    tier: Tier,
    class: &'static str,
    make: Option<Make>,
    sure: f32,
    why: String,
}

fn personal(class: &'static str, make: Make, sure: f32, why: impl Into<String>) -> Found {
    Found { tier: Tier::Personal, class, make: Some(make), sure, why: why.into() }
}

fn secret(class: &'static str, sure: f32, why: impl Into<String>) -> Found {
    Found { tier: Tier::Secret, class, make: Some(Make::Null), sure, why: why.into() }
}

/// A column's name in its table.
struct Name<'a> {
    words: Vec<String>,
    kind: Kind,
    context: &'a Context,
    /// Whether it is what rows are referred to by, or refers to others.
    key: bool,
}

impl Name<'_> {
    fn any(&self, list: &str) -> bool {
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

    fn secret(&self) -> Option<Found> {
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

    fn direct(&self) -> Option<Found> {
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

/// What a column is, by all that is known of it.
pub(super) fn judge(context: &Context, table: &Table, place: usize, values: &[String]) -> Verdict {
    let column = &table.columns[place];
    let forms = forms(values);
    let words = words(&column.name);
    let id = words.last().is_some_and(|word| word == "id" || word == "uuid" || word == "key");
    let primary = table.uniques.iter().any(|unique| unique == &[place]) && place == 0;
    let surrogate = (primary || id) && matches!(column.kind, Kind::Integer | Kind::Uuid | Kind::Number);
    let name = Name { words, kind: column.kind, context, key: table.refers(place) || surrogate };
    let mut found = match column.kind {
        Kind::Boolean => None,
        _ => name.secret().or_else(|| name.direct()),
    };
    if found.as_ref().is_none_or(|found| !found.tier.is_sensitive())
        && let Some(seen) = by_value(&name, &forms)
    {
        found = Some(seen);
    }
    if let Some(seen) = found.as_mut() {
        weigh(seen, &forms, &name);
    }
    if found.as_ref().is_none_or(|found| !found.tier.is_sensitive())
        && let Some(seen) = by_comment(column.comment.as_deref(), context, column.kind, name.key)
    {
        found = Some(seen);
    }
    if let Some(found) = found.filter(|found| found.sure >= 0.5) {
        let mut evidence = vec![found.why];
        if column.kind != Kind::Text {
            evidence.push(format!("type {}", column.type_name));
        }
        let Found { tier, class, make, sure, .. } = found;
        return Verdict { tier, class, make, confidence: sure.min(1.0), evidence };
    }
    let wide = column.kind == Kind::Text && (forms.sentences > 0.3 || forms.inside > 0.0);
    let free = name.any(
        "note comment description bio message body content text remark summary reason feedback review \
        log data payload extra html story detail",
    );
    let holds = match column.kind {
        Kind::Json | Kind::Bytes => Some("may hold anything"),
        Kind::Text if wide => Some("sentences"),
        Kind::Text if free && column.length.is_none_or(|length| length >= 100) => {
            Some("free text by its name")
        }
        _ => None,
    };
    match holds {
        Some(why) => Verdict {
            tier: Tier::Text,
            class: "free text",
            make: None,
            confidence: 0.5,
            evidence: vec![why.to_owned()],
        },
        None => Verdict { tier: Tier::None, class: "", make: None, confidence: 0.0, evidence: Vec::new() },
    }
}

/// What values give away that the name keeps to itself.
fn by_value(name: &Name<'_>, forms: &Forms) -> Option<Found> {
    if forms.count < 3 || name.key {
        return None;
    }
    let percent = |share: f32| format!("{:.0} % of the values sampled have that form", share * 100.0);
    let seen = |class, make, share: f32, sure| Some(personal(class, make, sure, percent(share)));
    if forms.email >= 0.4 {
        return seen("email", Make::Email, forms.email, 0.95);
    }
    if forms.secret >= 0.5 {
        return Some(secret("key", 0.9, percent(forms.secret)));
    }
    if forms.iban >= 0.7 {
        return seen("bank account", Make::Form, forms.iban, 0.95);
    }
    if forms.card >= 0.9 && forms.distinct >= 5 {
        return seen("card", Make::Card, forms.card, 0.9);
    }
    if forms.national >= 0.9 && forms.distinct >= 5 && forms.digits < 0.5 {
        return seen("number of a person", Make::Form, forms.national, 0.85);
    }
    if forms.phone >= 0.8 && forms.distinct >= 3 && !name.any("isbn sku version date ean barcode") {
        return seen("telephone", Make::Phone, forms.phone, 0.8);
    }
    if forms.network >= 0.8 && (name.context.person || name.context.trace || name.context.session) {
        return seen("network address", Make::Network, forms.network, 0.7);
    }
    let public = name.context.public || name.any(PUBLIC) || name.any("title film movie album book song");
    if forms.person >= 0.45 && forms.distinct >= 5 && !public {
        return seen("name", Make::Name, forms.person, 0.75);
    }
    None
}

/// What values say for or against a name.
fn weigh(found: &mut Found, forms: &Forms, name: &Name<'_>) {
    if forms.count < 5 || !found.tier.is_sensitive() {
        return;
    }
    let confirmed = match found.class {
        "email" => forms.email,
        "telephone" => forms.phone,
        "card" => forms.card,
        "network address" => forms.network,
        "name" => forms.person,
        _ => 0.0,
    };
    if confirmed > 0.5 {
        found.sure = (found.sure + 0.04).min(0.99);
        found.why = format!("{}, {:.0} % of the values sampled have that form", found.why, confirmed * 100.0);
        return;
    }
    // `phone` that says `yes` and `address` that says `A` are something else.
    let codes = forms.codes > 0.95 && forms.distinct <= 12 && name.kind == Kind::Text;
    if codes && !matches!(found.class, "name" | "password" | "postal code") {
        found.sure -= 0.5;
    }
    if found.class == "email" && forms.email == 0.0 && forms.count >= 10 && forms.distinct > 3 {
        found.sure -= 0.3;
    }
}

/// What a comment says of a column whose name says nothing.
fn by_comment(comment: Option<&str>, context: &Context, kind: Kind, key: bool) -> Option<Found> {
    let comment = comment?;
    let lower = comment.to_lowercase();
    let said = ["personal data", "personally identif", "pii", "gdpr", "sensitive", "confidential"];
    let marked = said.iter().any(|words| {
        lower.split(|c: char| !c.is_alphanumeric() && c != ' ').any(|part| part.contains(words))
    });
    if marked && !lower.contains("no pii") && !lower.contains("not pii") && !key && kind != Kind::Boolean {
        return Some(personal("marked as personal", Make::Form, 0.8, "its comment says so"));
    }
    // A short comment is a better name.
    let words = words(comment.split(['.', '(', ',']).next().unwrap_or_default());
    if words.len() > 5 || key {
        return None;
    }
    let name = Name { words, kind, context, key };
    let mut found = name.secret().or_else(|| name.direct()).filter(|found| found.tier.is_sensitive())?;
    found.sure -= 0.25;
    "by its comment".clone_into(&mut found.why);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::table::Column;

    fn tier(table: &str, column: &str, kind: Kind) -> Tier {
        let table = Table {
            schema: "public".to_owned(),
            name: table.to_owned(),
            columns: vec![
                Column { name: "key".to_owned(), kind: Kind::Integer, ..Column::default() },
                Column { name: column.to_owned(), kind, ..Column::default() },
            ],
            ..Table::default()
        };
        judge(&Context::of(&table), &table, 1, &[]).tier
    }

    #[test]
    fn names_that_tell() {
        for (table, column) in [
            ("users", "email"),
            ("x", "eMailAddress"),
            ("t_kunde", "name"),
            ("bookings", "guest_name"),
            ("staff", "FIRST"),
            ("people", "date_of_birth"),
            ("clients", "nif"),
            ("sites", "poc_1_cell"),
            ("orders", "billing_address_2"),
            ("logs", "client_ip"),
            ("employee", "photo"),
            ("direct_messages", "body"),
        ] {
            assert_eq!(tier(table, column, Kind::Text), Tier::Personal, "{table}.{column}");
        }
        for (table, column) in [
            ("users", "password_hash"),
            ("users", "passwd"),
            ("deliveries", "pickupCode"),
            ("x", "a_session"),
            ("api_keys", "key"),
            ("settings", "smtpPass"),
            ("devices", "refreshToken"),
        ] {
            assert_eq!(tier(table, column, Kind::Text), Tier::Secret, "{table}.{column}");
        }
    }

    #[test]
    fn names_that_only_look_so() {
        for (table, column, kind) in [
            ("users", "email_verified", Kind::Boolean),
            ("users", "password_changed_at", Kind::Time),
            ("users", "phone_count", Kind::Integer),
            ("products", "name", Kind::Text),
            ("roles", "name", Kind::Text),
            ("mails", "email_template_id", Kind::Integer),
            ("usage", "tokens", Kind::Integer),
            ("interfaces", "ip", Kind::Text),
            ("city", "zip", Kind::Text),
            ("files", "memory_address", Kind::Text),
            ("coins", "token_symbol", Kind::Text),
            ("user_roles", "name", Kind::Text),
        ] {
            assert!(!tier(table, column, kind).is_sensitive(), "{table}.{column}");
        }
    }
}
