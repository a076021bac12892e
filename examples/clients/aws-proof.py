#!/usr/bin/env python3
"""Prints the `aws` object of the authority's API (docs/authority.md, "A signed GetCallerIdentity").

Needs botocore, nothing else. The credentials are those that botocore finds: environment, shared files, container,
instance.

    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout key.pem -out csr.pem
    openssl req -in csr.pem -noout -pubkey > public.pem
    aws-proof.py --audience https://identity.example.org --region eu-west-1 --public-key public.pem
"""
import argparse
import base64
import hashlib
import json

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def spki(file):
    """The DER of a public key in PEM."""
    with open(file, encoding="ascii") as pem:
        return base64.b64decode("".join(line for line in pem if not line.startswith("-----")))


def aws_proof(credentials, region, audience, binding):
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    host = f"sts.{region}.{domain}"
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": host,
        "x-sallyport-audience": audience,
        "x-sallyport-key": binding,
    }
    request = AWSRequest("POST", f"https://{host}/", data=BODY, headers=headers)
    SigV4Auth(credentials, "sts", region).add_auth(request)
    proof = {
        "accessKeyId": credentials.access_key,
        "region": region,
        "date": request.headers["X-Amz-Date"],
        "signature": request.headers["Authorization"].rpartition("Signature=")[2],
    }
    if credentials.token:
        proof["sessionToken"] = credentials.token
    return proof


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audience", required=True, help="the authority's audience: by default its issuer URL")
    parser.add_argument("--region", required=True, help="whose STS judges: one that the authority lists")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--public-key", metavar="FILE", help="PEM; for an X.509-SVID of this key")
    wanted.add_argument("--jwt-audience", metavar="TEXT", help="for a JWT-SVID for this audience")
    options = parser.parse_args()
    if options.public_key:
        binding = f"x509:{digest(spki(options.public_key))}"
    else:
        binding = f"jwt:{digest(options.jwt_audience.encode())}"
    credentials = Session().get_credentials()
    if credentials is None:
        parser.error("botocore finds no credentials")
    print(json.dumps(aws_proof(credentials.get_frozen_credentials(), options.region, options.audience, binding)))


if __name__ == "__main__":
    main()
