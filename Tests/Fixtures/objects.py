#!/usr/bin/env python3
"""An object store that speaks S3 (moto's), and checks signatures as AWS does. usage: objects.py LOG [PORT]

Prints its port, the ID of a key and its secret, and works until its input ends; logs a line a request. Its bucket is `images`, in eu-west-1.
"""
import os, sys

os.environ.update(AWS_ACCESS_KEY_ID="setup", AWS_SECRET_ACCESS_KEY="setup", AWS_DEFAULT_REGION="eu-west-1", MOTO_S3_DEFAULT_MAX_KEYS="10")
import boto3
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
import threading

log = open(sys.argv[1], "w", buffering=1)


check = ActionAuthenticatorMixin._authenticate_and_authorize_s3_action


def check_signed(request, *words, **more):
    """moto takes a request without any signature for one with a bad one: the bucket's policy alone says who may read."""
    if request.method != "GET" or "Authorization" in request.headers:
        check(request, *words, **more)


ActionAuthenticatorMixin._authenticate_and_authorize_s3_action = check_signed


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, kind, message, *words):
        log.write(message % words + "\n")


server = make_server("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
place = dict(endpoint_url="http://127.0.0.1:%d" % server.port)
store = boto3.client("s3", **place)
store.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
# Anyone may read, as in a bucket that is a web site.
store.put_bucket_policy(
    Bucket="images", Policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::images/*"}]}')
people = boto3.client("iam", **place)
people.create_user(UserName="publisher")
people.put_user_policy(
    UserName="publisher", PolicyName="images",
    PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::images","arn:aws:s3:::images/*"]}]}')
key = people.create_access_key(UserName="publisher")["AccessKey"]
# From now on nobody gets in without a key.
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(server.port, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
sys.stdin.read()
