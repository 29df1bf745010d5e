# Who may read the export: one role, by whoever `trusted_principal_arns` names, with an external id; and, where the
# machine below is made, by that machine.

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = length(var.trusted_principal_arns) == 0 ? [] : [1]
    content {
      sid     = "WithExternalId"
      actions = ["sts:AssumeRole"]
      principals {
        type        = "AWS"
        identifiers = var.trusted_principal_arns
      }
      condition {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [coalesce(var.external_id, "none")] # none is refused below
      }
    }
  }
  dynamic "statement" {
    for_each = var.machine == null ? [] : [1]
    content {
      sid     = "Machine"
      actions = ["sts:AssumeRole"]
      principals {
        type        = "Service"
        identifiers = ["ec2.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role" "reader" {
  name                 = "trendbreak-reader"
  description          = "Reads the FOCUS export that Trendbreak turns into cost per feature"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600

  lifecycle {
    precondition {
      condition     = length(var.trusted_principal_arns) > 0 || var.machine != null
      error_message = "Nobody could assume the role: name trusted_principal_arns, or ask for a machine."
    }
    precondition {
      condition     = length(var.trusted_principal_arns) == 0 || var.external_id != null
      error_message = "Whoever assumes the role from outside must say an external_id."
    }
  }
}

data "aws_iam_policy_document" "reader" {
  statement {
    sid       = "ListExport"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.billing.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.export_prefix}/*", var.export_prefix]
    }
  }
  statement {
    sid       = "ReadExport"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.billing.arn}/${var.export_prefix}/*"]
  }
  statement {
    sid       = "DecryptExport"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.billing.arn]
  }
  # Cost Explorer knows no resources; this is for the source `aws_cost_explorer`, which costs $0.01 a request.
  dynamic "statement" {
    for_each = var.allow_cost_explorer ? [1] : []
    content {
      sid       = "CostExplorer"
      actions   = ["ce:GetCostAndUsage"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "reader" {
  name   = "read-export"
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.reader.json
}
