//! Showing a MySQL server who we are, by whichever of its methods it asks for.

use mysql_common::auth::plugins::AuthProc;
use mysql_common::auth::plugins::ChallengeResponsePlugin as _;
use mysql_common::auth::plugins::Context;
use mysql_common::io::ParseBuf;
use mysql_common::packets::AuthPlugin;
use mysql_common::packets::AuthSwitchRequest;

use crate::connectors::mysql::client::Fault;
use crate::connectors::mysql::connect::Refusal;
use crate::connectors::mysql::wire::Wire;
use crate::source::Password;

/// What a packet begins with while we log in.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const OTHER_METHOD: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// A method of logging in, and what has been told so far.
pub(super) struct Login<'a> {
    password: Option<&'a Password>,
    is_encrypted: bool,
    is_local: bool,
    plugin: AuthPlugin<'static>,
    procedure: AuthProc,
    challenge: Vec<u8>,
}

impl<'a> Login<'a> {
    /// A method that is not known here is answered with the oldest; the server then asks for the user's own.
    pub(super) fn new(
        password: Option<&'a Password>,
        is_encrypted: bool,
        is_local: bool,
        plugin: Option<AuthPlugin<'_>>,
        challenge: Vec<u8>,
    ) -> Result<Self, Refusal> {
        let plugin = match plugin {
            Some(plugin @ (AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword)) => {
                plugin.into_owned()
            }
            _ => AuthPlugin::MysqlNativePassword,
        };
        Ok(Self {
            password,
            is_encrypted,
            is_local,
            procedure: procedure(&plugin)?,
            plugin,
            challenge,
        })
    }

    pub(super) fn plugin(&self) -> AuthPlugin<'static> {
        self.plugin.clone()
    }

    /// What goes into the first packet.
    pub(super) fn first(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let challenge = self.challenge.clone();
        self.respond(&challenge)
    }

    /// Goes on until the server lets us in or not.
    pub(super) async fn finish(&mut self, wire: &mut Wire) -> Result<(), Refusal> {
        loop {
            let packet = wire.packet().await?;
            let response = match packet.split_first() {
                Some((&OK, _)) => return Ok(()),
                Some((&ERROR, _)) => return Err(Fault::told(packet).into()),
                Some((&MORE, challenge)) => self.respond(challenge)?,
                Some((&OTHER_METHOD, [_, ..])) => {
                    let asked: AuthSwitchRequest<'_> =
                        ParseBuf(packet).parse(()).map_err(|_| Fault::form())?;
                    let plugin = asked.auth_plugin().into_owned();
                    self.procedure = self.allowed(&plugin)?;
                    self.challenge = asked.plugin_data().to_vec();
                    self.plugin = plugin;
                    self.first()?
                }
                _ => return Err(Fault::form().into()),
            };
            if let Some(response) = response {
                wire.answer(&response).await?;
            }
        }
    }

    /// A password goes out as it is only where nobody can read it.
    fn allowed(&self, plugin: &AuthPlugin<'_>) -> Result<AuthProc, Refusal> {
        let is_secret = self.is_encrypted || self.is_local;
        match plugin {
            AuthPlugin::MysqlOldPassword => Err(unknown(plugin)),
            AuthPlugin::MysqlClearPassword if !is_secret => Err(Refusal::Words(
                "TLS required: the server asks for the password as it is; add `?sslmode=require` to its URL"
                    .to_owned(),
            )),
            _ => procedure(plugin),
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let known = Known {
            password: self.password.map_or(&[], |password| password.reveal().as_bytes()),
            is_encrypted: self.is_encrypted,
            is_local: self.is_local,
            challenge: &self.challenge,
        };
        let response = self
            .procedure
            .run(known, challenge)
            .map_err(|error| Refusal::Words(format!("cannot log in: {error}")))?;
        Ok(response.data().map(<[u8]>::to_vec))
    }
}

fn procedure(plugin: &AuthPlugin<'_>) -> Result<AuthProc, Refusal> {
    plugin.init().map_err(|_| unknown(plugin))
}

fn unknown(plugin: &AuthPlugin<'_>) -> Refusal {
    Refusal::Words(format!(
        "the server lets this user in only by `{}`, which is not known here: give the user a password",
        String::from_utf8_lossy(plugin.as_bytes())
    ))
}

/// What the methods ask about a connection.
struct Known<'a> {
    password: &'a [u8],
    is_encrypted: bool,
    is_local: bool,
    challenge: &'a [u8],
}

impl Context for Known<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        self.is_local
    }

    fn is_tls_transport(&self) -> bool {
        self.is_encrypted
    }

    fn scramble(&self) -> &[u8] {
        self.challenge
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}
