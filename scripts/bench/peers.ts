// The servers around the gateway: the partner's nginx, to which everybody goes out, and the two peers that do the gateway's
// job beside it, mTLS in and verified mTLS out, as L4 proxies. Everybody negotiates TLS 1.3 with AES-128-GCM and X25519 and
// may resume towards the partner; the peers write no log.
import { PARTNER, type Pki, THROUGH } from './pki.ts'
import { freePorts, type Programs, STREAM_MODULE, startProgram } from './programs.ts'
import type { Product } from './product.ts'

export const CIPHER = 'TLS_AES_128_GCM_SHA256'
/** A download; longer ones ask for it again. */
export const BLOB_BYTES = 64 * 1024 * 1024

export interface Partner extends AsyncDisposable {
  /** Asks for a client certificate. */
  readonly port: number
  /** Does not: the client inside `passthrough` has none. */
  readonly throughPort: number
}

/**
 * `/blob` gives BLOB_BYTES, `/sink` reads and drops, `/echo` gives back the field `x-echo`, `/resumed` says whether TLS was
 * resumed (`r` or `.`).
 */
export async function startPartner({ nginx }: Programs, pki: Pki): Promise<Partner> {
  const { directory } = pki
  const [port = 0, throughPort = 0] = await freePorts(2)
  await pki.file('blob', 'x'.repeat(BLOB_BYTES))
  const locations = `
    location = /blob { root ${directory}; }
    location = /sink { return 204; }
    location = /echo { default_type text/plain; return 200 $http_x_echo; }
    location = /resumed { default_type text/plain; return 200 $ssl_session_reused; }`
  const tls = `ssl_protocols TLSv1.3; ssl_certificate ${directory}/partner.crt; ssl_certificate_key ${directory}/partner.key;
    ssl_session_cache shared:partner:20m; ssl_session_timeout 1h;`
  const config = await pki.file(
    'partner.conf',
    `${head(directory, 'partner')}
http {
  access_log off; sendfile on; tcp_nodelay on;
  client_body_temp_path ${directory}/b; proxy_temp_path ${directory}/p;
  fastcgi_temp_path ${directory}/f; uwsgi_temp_path ${directory}/u; scgi_temp_path ${directory}/s;
  client_header_timeout 1h; client_body_timeout 1h; send_timeout 1h; keepalive_timeout 1h; keepalive_requests 1000000000;
  lingering_time 1h; lingering_timeout 1h; client_max_body_size 0; large_client_header_buffers 4 8k;
  server {
    listen 127.0.0.1:${port} ssl backlog=4096; server_name ${PARTNER};
    ${tls}
    ssl_client_certificate ${directory}/partner-ca.pem; ssl_verify_client on;${locations}
  }
  server {
    listen 127.0.0.1:${throughPort} ssl backlog=4096; server_name ${THROUGH};
    ${tls}${locations}
  }
}
`,
  )
  const program = await startProgram(nginx, ['-c', config, '-e', 'stderr'], { port, workers: 1 })
  return { port, throughPort, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
}

function head(directory: string, name: string): string {
  return `daemon off; user root; worker_processes 1; worker_rlimit_nofile 20000;
pid ${directory}/${name}.pid; error_log stderr crit;
events { worker_connections 19000; }`
}

/** nginx with one worker and its stream module. */
export async function startNginx({ nginx }: Programs, pki: Pki, partner: Partner): Promise<Product> {
  const { directory } = pki
  const [port = 0] = await freePorts(1)
  const config = await pki.file(
    'peer-nginx.conf',
    `load_module ${STREAM_MODULE};
${head(directory, 'peer-nginx')}
stream {
  server {
    listen 127.0.0.1:${port} ssl backlog=4096;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites ${CIPHER};
    ssl_certificate ${directory}/gateway.crt; ssl_certificate_key ${directory}/gateway.key;
    ssl_client_certificate ${directory}/bundle.pem; ssl_verify_client on; ssl_verify_depth 4;
    proxy_pass 127.0.0.1:${partner.port}; proxy_timeout 1h; tcp_nodelay on;
    proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites ${CIPHER};
    proxy_ssl_certificate ${directory}/identity.crt; proxy_ssl_certificate_key ${directory}/identity.key;
    proxy_ssl_trusted_certificate ${directory}/partner-ca.pem; proxy_ssl_verify on; proxy_ssl_verify_depth 4;
    proxy_ssl_name ${PARTNER}; proxy_ssl_server_name on; proxy_ssl_session_reuse on;
  }
}
`,
  )
  const program = await startProgram(nginx, ['-c', config, '-e', 'stderr'], { port, workers: 1 })
  return { name: 'nginx', target: null, port, ...program }
}

/** HAProxy with one thread. */
export async function startHaproxy({ haproxy }: Programs, pki: Pki, partner: Partner): Promise<Product> {
  const { directory } = pki
  const [port = 0] = await freePorts(1)
  const suites = `ciphersuites ${CIPHER}`
  const config = await pki.file(
    'haproxy.cfg',
    `global
  nbthread 1
  maxconn 9000
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen peer
  bind 127.0.0.1:${port} ssl crt ${directory}/gateway.pem ca-file ${directory}/bundle.pem verify required ssl-min-ver TLSv1.3 ${suites} backlog 4096
  server partner 127.0.0.1:${partner.port} ssl crt ${directory}/identity.pem ca-file ${directory}/partner-ca.pem verify required verifyhost ${PARTNER} sni str(${PARTNER}) ssl-min-ver TLSv1.3 ${suites}
`,
  )
  const program = await startProgram(haproxy, ['-f', config, '-db'], { port, workers: 0 })
  return { name: 'HAProxy', target: null, port, ...program }
}
