//! What a table's name and its other columns say about each of its columns.

use crate::mask::scan::name::words;
use crate::mask::table::Table;

/// What people are called by the tables that list them; other languages of Europe too.
pub(super) const PEOPLE: &str = "account_holder actor_user administrator admin adult applicant approver assignee attendee author \
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
pub(super) const PUBLIC: &str =
    "actor artist author cast composer creator_credit director character singer musician band writer";

/// What is no person although somebody may be behind it.
pub(super) const ORGANISATIONS: &str = "airline airport association bank branch brand business charity chapter clinic club \
    company corporation department dealer distributor division employer factory firm foundation hospital hotel \
    institution manufacturer merchant office org organisation organization publisher restaurant school shipper shop \
    store studio supplier team tenant university vendor venue warehouse workspace";

/// Tables that keep where or when somebody was.
const TRACES: &str = "access activity audit auth click comment connection consent event history hit impression log \
    login mfa challenge factor order request session signin track traffic view visit vote";

pub(super) fn is_in(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// What a table says about its columns.
pub(in crate::mask::scan) struct Context {
    pub(super) words: Vec<String>,
    /// It lists persons.
    pub(in crate::mask::scan) person: bool,
    /// It lists persons whose names are public.
    pub(super) public: bool,
    /// It lists companies and the like.
    pub(super) organisation: bool,
    /// It says what somebody did, and when.
    pub(super) trace: bool,
    /// It lists sessions.
    pub(super) session: bool,
    /// It holds what somebody wrote to somebody.
    pub(super) message: bool,
    /// It lists keys, tokens or other credentials.
    pub(super) credentials: bool,
    /// It lists cities, countries and the like.
    pub(super) geography: bool,
    /// It is about orders, bookings and other things that somebody is named in.
    pub(super) dealing: bool,
}

impl Context {
    pub(in crate::mask::scan) fn of(table: &Table) -> Self {
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

    pub(super) fn has(&self, list: &str) -> bool {
        self.words.iter().any(|word| is_in(list, word))
    }
}
