// MailDev without its command line: every mail that the stack sends ends here, and is shown on port 1080 (GET /email gives them as JSON).
import MailDev from 'maildev';

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const mails = new MailDev({ smtp: 1025, web: 1080, ip: '0.0.0.0', webIp: '0.0.0.0', disableWeb: false, silent: true, ignoreTLS: true });
mails.listen((error) => {
  if (error) throw error;
  console.log(`mail catcher ready after ${Math.round(performance.now())} ms`);
});
