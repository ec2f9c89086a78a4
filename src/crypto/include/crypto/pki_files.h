/* The files of a PKI folder, as `ammctl pki init` makes it and amm-tunneld reads it (`pki = DIR`). */
#pragma once

/* For the tunnel server. */
#define AMM_PKI_SERVER_CERTIFICATE "server.crt"
#define AMM_PKI_SERVER_KEY "server.key"
#define AMM_PKI_GATEWAYS_CA "gateways-ca.crt" /* both CAs below: whom the server lets in */
#define AMM_PKI_CRL "crl.pem"                 /* the lists of both */
#define AMM_PKI_STATIC_KEY "tls-crypt.key"    /* tls-crypt and tls-auth */
#define AMM_PKI_V2_KEY "tls-crypt-v2-server.key"

/* For gateways. */
#define AMM_PKI_SERVER_CA "server-ca.crt"
#define AMM_PKI_SERVER_CRL "server-crl.pem"

/* Three issuing CAs, independent of one another: "server-ca", "gateway-ca" and "profile-ca", each with a
 * certificate (.crt) and a key (.key); the certificates of our own gateways in the folder "gateways"; and the
 * index of everything that was issued. */
#define AMM_PKI_GATEWAYS_FOLDER "gateways"
#define AMM_PKI_INDEX "index.txt"
