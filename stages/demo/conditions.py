"""The codes of the embedded corpus: the kind of a code, and those beyond the fifty of MIMIC-III-50."""

# ruff: noqa: E501


def is_procedure(code: str) -> bool:
    """Whether a code (with its dot) is a procedure's: two digits stand before the dot, in a diagnosis three characters."""
    return len(code.partition(".")[0]) == 2


# What the subset `top50` filters out: code, short title, long title, how notes word it. The first are the most frequent.
OUTSIDE = tuple(
    tuple(part.strip() for part in line.split("|"))
    for line in """
    427.89 | Cardiac dysrhythmias NEC | Other specified cardiac dysrhythmias | sinus bradycardia
    458.29 | Iatrogenc hypotnsion NEC | Other iatrogenic hypotension | low pressures after sedation
    424.1 | Aortic valve disorder | Aortic valve disorders | aortic stenosis
    443.9 | Periph vascular dis NOS | Peripheral vascular disease, unspecified | peripheral vascular disease
    518.0 | Pulmonary collapse | Pulmonary collapse | atelectasis
    780.39 | Convulsions NEC | Other convulsions | seizures
    276.8 | Hypopotassemia | Hypopotassemia | hypokalemia
    276.0 | Hyperosmolality | Hyperosmolality and/or hypernatremia | hypernatremia
    276.7 | Hyperpotassemia | Hyperpotassemia | hyperkalemia
    274.9 | Gout NOS | Gout, unspecified | gout
    278.00 | Obesity NOS | Obesity, unspecified | obesity
    493.90 | Asthma NOS | Asthma, unspecified type, unspecified | asthma
    300.00 | Anxiety state NOS | Anxiety state, unspecified | anxiety
    303.90 | Alcoh dep NEC/NOS-unspec | Other and unspecified alcohol dependence, unspecified | alcohol dependence
    294.8 | Mental disor NEC oth dis | Other persistent mental disorders due to conditions classified elsewhere | dementia
    327.23 | Obstructive sleep apnea | Obstructive sleep apnea (adult)(pediatric) | sleep apnea
    332.0 | Paralysis agitans | Paralysis agitans | Parkinson disease
    348.5 | Cerebral edema | Cerebral edema | cerebral edema
    431 | Intracerebral hemorrhage | Intracerebral hemorrhage | intracerebral hemorrhage
    434.91 | Crbl art ocl NOS w infrc | Cerebral artery occlusion, unspecified with cerebral infarction | ischemic stroke
    415.19 | Pulm embol/infarct NEC | Other pulmonary embolism and infarction | pulmonary embolism
    416.8 | Chr pulmon heart dis NEC | Other chronic pulmonary heart diseases | cor pulmonale
    425.4 | Prim cardiomyopathy NEC | Other primary cardiomyopathies | cardiomyopathy
    427.1 | Parox ventric tachycard | Paroxysmal ventricular tachycardia | ventricular tachycardia
    427.5 | Cardiac arrest | Cardiac arrest | cardiac arrest
    785.51 | Cardiogenic shock | Cardiogenic shock | cardiogenic shock
    433.10 | Ocl crtd art wo infrct | Occlusion and stenosis of carotid artery without mention of cerebral infarction | carotid stenosis
    441.4 | Abdom aortic aneurysm | Abdominal aneurysm without mention of rupture | abdominal aortic aneurysm
    512.1 | Iatrogenic pneumothorax | Iatrogenic pneumothorax | pneumothorax after line placement
    535.50 | Gstr/ddnts NOS w/o hmrhg | Unspecified gastritis and gastroduodenitis, without mention of hemorrhage | gastritis
    562.10 | Dvrtclo colon w/o hmrhg | Diverticulosis of colon (without mention of hemorrhage) | diverticulosis
    571.2 | Alcohol cirrhosis liver | Alcoholic cirrhosis of liver | alcoholic cirrhosis
    571.5 | Cirrhosis of liver NOS | Cirrhosis of liver without mention of alcohol | cryptogenic cirrhosis
    577.0 | Acute pancreatitis | Acute pancreatitis | acute pancreatitis
    578.9 | Gastrointest hemorr NOS | Hemorrhage of gastrointestinal tract, unspecified | melena
    600.00 | BPH w/o urinary obs/LUTS | Hypertrophy (benign) of prostate without urinary obstruction | enlarged prostate
    682.6 | Cellulitis of leg | Cellulitis and abscess of leg, except foot | cellulitis of the leg
    707.03 | Pressure ulcer, low back | Pressure ulcer, lower back | sacral decubitus ulcer
    714.0 | Rheumatoid arthritis | Rheumatoid arthritis | rheumatoid arthritis
    733.00 | Osteoporosis NOS | Osteoporosis, unspecified | osteoporosis
    787.20 | Dysphagia NOS | Dysphagia, unspecified | difficulty swallowing
    008.45 | Int inf clstrdium dfcile | Intestinal infection due to Clostridium difficile | C difficile colitis
    112.0 | Thrush | Candidiasis of mouth | oral thrush
    V45.01 | Status cardiac pacemaker | Cardiac pacemaker in situ | pacemaker in place
    V10.46 | Hx-prostatic malignancy | Personal history of malignant neoplasm of prostate | treated prostate cancer
    E878.2 | Abn react-anastom/graft | Surgical operation with anastomosis, bypass, or graft as the cause of abnormal reaction | late graft complication
    E888.9 | Fall NOS | Unspecified fall | fall at home
    E849.7 | Accid in resident instit | Accidents occurring in residential institution | nursing facility accident
    00.66 | PTCA | Percutaneous transluminal coronary angioplasty [PTCA] | balloon angioplasty
    36.07 | Ins drug-elut coronry st | Insertion of drug-eluting coronary artery stent(s) | coronary stenting
    36.12 | Aortocor bypas-2 cor art | (Aorto)coronary bypass of two coronary arteries | two vein grafts
    35.21 | Replace aortic valve-tis | Open and other replacement of aortic valve with tissue graft | tissue aortic valve
    34.04 | Insert intercostal cath | Insertion of intercostal catheter for drainage | intercostal catheter
    54.91 | Percu abdominal drainage | Percutaneous abdominal drainage | paracentesis
    31.1 | Temporary tracheostomy | Temporary tracheostomy | surgical airway at bedside
    43.11 | Percu endosc gastrostomy | Percutaneous [endoscopic] gastrostomy [PEG] | gastrostomy placement
    99.05 | Platelet transfusion | Transfusion of platelets | platelets given
    99.07 | Serum transfusion NEC | Transfusion of other serum | fresh frozen plasma
    89.64 | Pulmon art wedge monitor | Pulmonary artery wedge monitoring | Swan Ganz monitoring
    93.90 | Non-invasive mech vent | Non-invasive mechanical ventilation | mask ventilation
    45.23 | Colonoscopy | Colonoscopy | colonoscopy
    03.31 | Spinal tap | Spinal tap | lumbar puncture
    """.strip().splitlines()
)
