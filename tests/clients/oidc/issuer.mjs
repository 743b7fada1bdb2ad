// A real OpenID Connect issuer on loopback: device flow for people, and tokens for jobs.
//
// node issuer.mjs PLAN.json; the plan is made by tests/clients/issuer.py. Anybody may
// sign in as anybody here: whom the issuer believes is not what is tested.
import fs from "node:fs";
import https from "node:https";
import Provider from "oidc-provider";

const plan = JSON.parse(fs.readFileSync(process.argv[2]));

const provider = new Provider(plan.url, {
  jwks: plan.jwks,
  clients: plan.clients,
  cookies: { keys: ["only for tests"] },
  scopes: ["openid", "email", "offline_access"],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  ttl: { AccessToken: 600, ClientCredentials: 600, DeviceCode: 60, IdToken: 600, Grant: 600, Session: 600, Interaction: 600 },
  // What the issuer says of a job, as GitHub does of a workflow's run.
  extraClientMetadata: { properties: ["said"] },
  extraTokenClaims(_ctx, token) {
    if (token.kind === "ClientCredentials") return token.client.said;
    return { email: token.accountId, email_verified: true };
  },
  findAccount(_ctx, id) {
    return { accountId: id, claims: () => ({ sub: id, email: id, email_verified: true }) };
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, indicator) => ({
        scope: "openid email",
        audience: indicator,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: plan.algorithm } },
      }),
    },
  },
});

const listener = provider.callback();

// GitHub's other half: a job asks here for its token, with the two variables it is given.
async function actions(request, response) {
  const asked = new URL(request.url, plan.url);
  const id = (request.headers.authorization ?? "").replace(/^bearer /i, "");
  const client = plan.clients.find((each) => each.client_id === id);
  if (!client) return response.writeHead(401).end();
  const token = new provider.ClientCredentials({
    client: await provider.Client.find(id),
    resourceServer: new provider.ResourceServer(asked.searchParams.get("audience"), {
      scope: "openid",
      audience: asked.searchParams.get("audience"),
      accessTokenFormat: "jwt",
      jwt: { sign: { alg: plan.algorithm } },
    }),
  });
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ value: await token.save() }));
}

https
  .createServer({ key: plan.key, cert: plan.certificate }, (request, response) =>
    request.url.startsWith("/actions-token")
      ? actions(request, response).catch((error) => response.writeHead(500).end(String(error)))
      : listener(request, response),
  )
  .listen(plan.port, "127.0.0.1", () => console.log("listening"));
