# What Trendbreak needs of AWS: a FOCUS 1.2 data export in a bucket of its own, a role that may read it and nothing
# else, and, if asked for, one machine with a disk to run on. Apply it in the payer (management) account.

terraform {
  required_version = ">= 1.7"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.60, < 7.0"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  bucket     = coalesce(var.bucket_name, "trendbreak-billing-${local.account_id}")
  # Data exports exist in us-east-1 only, whatever region the bucket is in.
  export_source_arns = [
    "arn:${local.partition}:bcm-data-exports:us-east-1:${local.account_id}:export/*",
    "arn:${local.partition}:cur:us-east-1:${local.account_id}:definition/*",
  ]
}

resource "aws_kms_key" "billing" {
  description             = "Encrypts the billing export that Trendbreak reads"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "billing" {
  name          = "alias/trendbreak-billing"
  target_key_id = aws_kms_key.billing.key_id
}

data "aws_iam_policy_document" "key" {
  # The account's own administrators keep the key: without this statement nobody could ever change its policy.
  #checkov:skip=CKV_AWS_109:a key policy's only resource is its own key
  #checkov:skip=CKV_AWS_111:a key policy's only resource is its own key
  #checkov:skip=CKV_AWS_356:a key policy's only resource is its own key
  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }
  statement {
    sid       = "DataExportsEncrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_s3_bucket" "billing" {
  #checkov:skip=CKV_AWS_144:AWS writes the export anew at any time, with all its history; a copy in another region buys nothing
  #checkov:skip=CKV2_AWS_62:Trendbreak polls once a day; nobody would receive the notifications
  bucket = local.bucket
}

resource "aws_s3_bucket_versioning" "billing" {
  bucket = aws_s3_bucket.billing.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "billing" {
  bucket = aws_s3_bucket.billing.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.billing.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "billing" {
  bucket                  = aws_s3_bucket.billing.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "billing" {
  bucket = aws_s3_bucket.billing.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "billing" {
  bucket = aws_s3_bucket.billing.id
  rule {
    id     = "superseded"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.superseded_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_logging" "billing" {
  count         = var.access_log_bucket == null ? 0 : 1
  bucket        = aws_s3_bucket.billing.id
  target_bucket = var.access_log_bucket
  target_prefix = "${local.bucket}/"
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "DataExportsWrite"
    actions   = ["s3:PutObject", "s3:GetBucketPolicy"]
    resources = [aws_s3_bucket.billing.arn, "${aws_s3_bucket.billing.arn}/*"]
    principals {
      type        = "Service"
      identifiers = ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = local.export_source_arns
    }
  }
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.billing.arn, "${aws_s3_bucket.billing.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "billing" {
  bucket     = aws_s3_bucket.billing.id
  policy     = data.aws_iam_policy_document.bucket.json
  depends_on = [aws_s3_bucket_public_access_block.billing]
}

resource "aws_bcmdataexports_export" "focus" {
  export {
    name = var.export_name
    data_query {
      query_statement = "SELECT ${join(", ", local.focus_columns)} FROM FOCUS_1_2_AWS"
      table_configurations = {
        FOCUS_1_2_AWS = {}
      }
    }
    destination_configurations {
      s3_destination {
        s3_bucket = aws_s3_bucket.billing.bucket
        s3_prefix = var.export_prefix
        s3_region = var.region
        s3_output_configurations {
          # One set of files per period, replaced in place: what is current needs no guessing.
          overwrite   = "OVERWRITE_REPORT"
          format      = "PARQUET"
          compression = "PARQUET"
          output_type = "CUSTOM"
        }
      }
    }
    refresh_cadence {
      frequency = "SYNCHRONOUS"
    }
  }
  depends_on = [aws_s3_bucket_policy.billing]
}
