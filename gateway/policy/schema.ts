// The Cedar schema that every policy is validated against (design §5.2). It is an interface: a change that removes or
// narrows anything here breaks policies that people have written.

export const POLICY_SCHEMA = `
entity Path in [Path];
entity Workload in [Path] = { trustDomain: String, path: String };
entity Network;
entity Tag;
entity Destination in [Tag] = { host: String, port: Long };
action connect appliesTo {
  principal: [Workload, Network],
  resource: [Destination],
  context: {
    now: datetime,
    sourceIp: ipaddr,
    listener: String,
    serialNumber: String,
    vpcEndpoint?: String,
  },
};
`
