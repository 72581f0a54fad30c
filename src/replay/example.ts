// The configuration that outages are replayed through when the user names none: one record for each
// lesson, so that every replay shows somebody who moves beside somebody who must not. Text and
// nothing else; it is read by the same reader as any other configuration, and refers to no secret
// that exists.

export const exampleName = 'the built-in example';

export const exampleText = `# The example of \`detour simulate\`.
cluster: example
providers:
  cf:
    { type: cloudflare, apiToken: { env: CF_API_TOKEN }, zone: gslb.example.net }
  r53:
    type: route53
    credentials: { accessKeyId: { env: R53_KEY_ID }, secretAccessKey: { env: R53_SECRET } }
    zone: gslb.example.net
  ali:
    type: alidns
    accessKeyId: { env: ALI_KEY_ID }
    accessKeySecret: { env: ALI_SECRET }
    zone: gslb.example.net
paths:
  line-a: { site: office, uplink: as4134, resolver: ["1.1.1.1", "1.0.0.1"] }
  line-b: { site: annex, uplink: as4837, localAddress: 192.0.2.7 }
  osaka: { site: osaka, proxy: "socks5://probe.example.jp:1080" }
clouds:
  aliyun:
    checks:
      oss-signed: { plane: service, region: cn-hangzhou, http: "https://oss.example/probe.txt" }
      ecs-api: { plane: control, http: "https://ecs.example/", expect: { status: "<500" } }
  aws:
    checks:
      dynamodb: { plane: service, region: us-east-1, http: "https://dynamodb.example/ping" }
      ec2-api: { plane: control, region: us-east-1, http: "https://ec2.example/ping" }
  cloudflare:
    checks:
      dashboard: { plane: control, http: "https://dash.example/" }
  facebook:
    checks:
      login: { plane: service, http: "https://login.example/dialog" }
  google:
    checks:
      storage: { plane: service, region: us-central1, http: "https://storage.example/probe.txt" }
  tencent:
    checks:
      functions: { plane: service, region: ap-guangzhou, http: "https://scf.example/probe" }
      cvm-api: { plane: control, http: "https://cvm.example/", expect: { status: "<500" } }
  hetzner: {}
origins:
  storage-hz: # needs what wants the cloud to authenticate
    cloud: aliyun
    region: cn-hangzhou
    needs: [oss-signed]
    checks: { web: { http: "https://shop-hz.example/healthz" } }
  plain-hz: # the same cloud and region, machines alone
    cloud: aliyun
    region: cn-hangzhou
    checks: { web: { http: "https://www-hz.example/healthz" } }
  hongkong-1:
    cloud: aliyun
    region: cn-hongkong
    checks: { web: { http: "https://hk1.example/healthz" } }
  hongkong-2:
    cloud: aliyun
    region: cn-hongkong
    checks: { web: { http: "https://hk2.example/healthz" } }
  virginia: # keeps its sessions in the cloud's own database
    cloud: aws
    region: us-east-1
    needs: [dynamodb]
    checks: { web: { http: "https://api-va.example/healthz" } }
  plain-va:
    cloud: aws
    region: us-east-1
    checks: { web: { http: "https://blog-va.example/healthz" } }
  tokyo:
    cloud: aws
    region: ap-northeast-1
    checks: { web: { http: "https://nrt.example/healthz" } }
  edge-1: # behind the proxy
    cloud: cloudflare
    checks: { web: { http: "https://app-1.example/healthz" } }
  edge-2:
    cloud: cloudflare
    checks: { web: { http: "https://app-2.example/healthz" } }
  iowa:
    cloud: google
    region: us-central1
    needs: [storage]
    checks: { web: { http: "https://data-ia.example/healthz" } }
  guangzhou: # takes payments by functions of the cloud's own
    cloud: tencent
    region: ap-guangzhou
    needs: [functions]
    checks: { web: { http: "https://pay-gz.example/healthz" } }
  plain-gz:
    cloud: tencent
    region: ap-guangzhou
    checks: { web: { http: "https://docs-gz.example/healthz" } }
  falkenstein:
    cloud: hetzner
    checks: { web: { http: "https://fsn.example/healthz" } }
  signin-1: # both ways lead through one login that is somebody else's
    cloud: hetzner
    needs: ["facebook:login"]
    checks: { web: { http: "https://signin-1.example/healthz" } }
  signin-2:
    cloud: aws
    region: ap-northeast-1
    needs: ["facebook:login"]
    checks: { web: { http: "https://signin-2.example/healthz" } }
records:
  shop.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53, ali], targets: [
      { origin: storage-hz, cname: shop-hz.example.net },
      { origin: tokyo, cname: shop-nrt.example.net } ] }
  www.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53, ali], targets: [
      { origin: plain-hz, cname: www-hz.example.net },
      { origin: tokyo, cname: www-nrt.example.net } ] }
  asia.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53, ali], targets: [
      { origin: hongkong-1, cname: hk1.example.net },
      { origin: hongkong-2, cname: hk2.example.net },
      { origin: tokyo, cname: asia-nrt.example.net } ] }
  api.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: virginia, cname: api-va.example.net },
      { origin: falkenstein, cname: api-fsn.example.net } ] }
  blog.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: plain-va, cname: blog-va.example.net },
      { origin: falkenstein, cname: blog-fsn.example.net } ] }
  app.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: edge-1, cname: app-1.example.net },
      { origin: edge-2, cname: app-2.example.net },
      { origin: falkenstein, cname: app-fsn.example.net } ] }
  data.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: iowa, cname: data-ia.example.net },
      { origin: falkenstein, cname: data-fsn.example.net } ] }
  pay.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: guangzhou, cname: pay-gz.example.net },
      { origin: falkenstein, cname: pay-fsn.example.net } ] }
  docs.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: plain-gz, cname: docs-gz.example.net },
      { origin: falkenstein, cname: docs-fsn.example.net } ] }
  signin.gslb.example.net:
    { mode: steer, ttl: 60, publish: [cf, r53], targets: [
      { origin: signin-1, cname: signin-1.example.net },
      { origin: signin-2, cname: signin-2.example.net } ] }
`;
